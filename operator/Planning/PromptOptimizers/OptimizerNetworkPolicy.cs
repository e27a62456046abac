using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;

namespace Moebius.Operator.Planning.PromptOptimizers;

/// <summary>
/// The NetworkPolicy of an optimizer's pods: callers, and the operator, which hands jobs in, reach the API; the pods
/// reach name servers, the models that the spec names, and a PostgreSQL database.
/// </summary>
internal static class OptimizerNetworkPolicy
{
    /// <summary>PostgreSQL's port.</summary>
    private const int DatabasePort = 5432;

    /// <summary>Plans it; <paramref name="model"/> is the MoEDeployment behind the agents, null where the spec names an endpoint.</summary>
    public static V1NetworkPolicy Plan(PromptOptimizer resource, MoEDeployment? model, ChildBuilder child, OperatorSettings settings)
    {
        List<V1NetworkPolicyEgressRule> egress = [Traffic.NameServers];
        if (model is not null)
        {
            egress.Add(new V1NetworkPolicyEgressRule
            {
                To = [new V1NetworkPolicyPeer { PodSelector = new V1LabelSelector { MatchLabels = Labels.Selector(Components.Inference, model.Metadata.Name) } }],
                Ports = [Traffic.Port(model.Spec.Serving.Port)],
            });
        }

        egress.AddRange(Endpoints(resource.Spec).SelectMany(one => Traffic.Out(EndpointUrl.Parse(one.Endpoint, one.Field), resource.Metadata.NamespaceProperty)));
        if (resource.Spec.Store.Type == JobStoreType.PostgreSQL)
            egress.AddRange(resource.Spec.Store.Address is { } address ? Traffic.Out(address, resource.Metadata.NamespaceProperty) : [new() { Ports = [Traffic.Port(DatabasePort)] }]);
        return child.NetworkPolicy(Names.PromptOptimizer(resource.Metadata.Name), Traffic.In(resource.Spec.NetworkPolicy, settings, resource.Spec.Port, resource.Spec.Port), egress);
    }

    /// <summary>The endpoints that a spec names, and their fields.</summary>
    public static IEnumerable<(string Field, ModelEndpoint Endpoint)> Endpoints(PromptOptimizerSpec spec)
    {
        if (spec.LanguageModel.Endpoint is { } language)
            yield return ("spec.languageModel.endpoint", language);
        if (spec.Scorer.Endpoint is { } scorer)
            yield return ("spec.scorer.endpoint", scorer);
        if (spec.ImageModel is { Endpoint: var image })
            yield return ("spec.imageModel.endpoint", image);
    }
}
