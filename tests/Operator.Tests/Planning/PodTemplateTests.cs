using System.Text.Json.Nodes;
using k8s.Models;
using Moebius.Crds;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;

namespace Moebius.Operator.Tests.Planning;

public sealed class PodTemplateTests
{
    private static Plan Plan(string template) =>
        MoEDeploymentPlanner.Plan(Samples.MoE($"podTemplate: {template}"), MoEReferences.None, OperatorSettings.Default, ServerCapabilities.Latest);

    private static JsonObject Json(string yaml) => Manifests.ParseDocuments(yaml, "patch")[0];

    [Fact]
    public void A_partial_template_lies_over_the_planned_one()
    {
        var template = Plan("""
            {metadata: {labels: {team: a}, annotations: {moebius.dev/memory-intent: read-heavy, note: x}},
             spec: {runtimeClassName: gvisor, securityContext: {runAsUser: 1000},
                    containers: [{name: inference, env: [{name: LD_PRELOAD, value: x}], volumeMounts: [{mountPath: /cache, name: cache}]}, {name: proxy, image: 'envoy:1'}],
                    volumes: [{name: cache, emptyDir: {}}]}}
            """).Child<V1Deployment>().Spec.Template;
        Assert.Equal(("a", "inference"), (template.Metadata.Labels["team"], template.Metadata.Labels[Labels.Component]));
        Assert.NotNull(template.Metadata.Annotations[Labels.ConfigHash]);
        Assert.Equal(["inference", "proxy"], template.Spec.Containers.Select(container => container.Name));
        var inference = template.Spec.Containers[0];
        Assert.Equal(["DOTNET_EnableDiagnostics", "LD_PRELOAD"], inference.Env.Select(variable => variable.Name));
        Assert.Contains(inference.VolumeMounts, mount => mount.MountPath == "/cache");
        Assert.Contains(inference.VolumeMounts, mount => mount.MountPath == "/models/model");
        Assert.Equal("serve", inference.Args[0]);
        Assert.Equal((1000, true, "gvisor"), (template.Spec.SecurityContext.RunAsUser, template.Spec.SecurityContext.RunAsNonRoot, template.Spec.RuntimeClassName));
    }

    [Theory]
    [InlineData("{spec: {containers: [{name: inference, args: [x]}]}}", "spec.podTemplate.spec.containers[inference].args: cannot be overridden: Moebius sets them; use the fields of spec")]
    [InlineData("{spec: {containers: [{name: inference, image: x}]}}", "spec.podTemplate.spec.containers[inference].image: cannot be overridden: use spec.image")]
    [InlineData("{spec: {initContainers: [{name: kvcache, resources: {}}]}}", "spec.podTemplate.spec.initContainers[kvcache].resources: cannot be overridden: use spec.resources and spec.kvCache.resources")]
    [InlineData("{spec: {containers: [{name: inference, $patch: delete}]}}", "spec.podTemplate.spec.containers[inference].$patch: the container belongs to Moebius and cannot be removed or replaced")]
    [InlineData("{spec: {containers: [{name: inference, volumeMounts: [{mountPath: /models, name: x}]}]}}", "spec.podTemplate.spec.containers[inference].volumeMounts[/models]: the path belongs to Moebius: choose another one")]
    [InlineData("{spec: {volumes: [{name: model, emptyDir: {}}]}}", "spec.podTemplate.spec.volumes[model]: belongs to Moebius: choose another name")]
    [InlineData("{spec: {serviceAccountName: x}}", "spec.podTemplate.spec.serviceAccountName: cannot be overridden: Moebius sets it")]
    [InlineData("{spec: {nodeSelector: {a: b}}}", "spec.podTemplate.spec.nodeSelector: cannot be overridden: use spec.placement.nodeSelector")]
    [InlineData("{spec: {containers: [{image: x}]}}", "spec.podTemplate.spec.containers: must be a list of objects with a name")]
    [InlineData("{spec: {containers: [{name: inference, env: [{$patch: replace}]}]}}", "spec.podTemplate.spec.containers[inference].env: must be a list of objects with a name: what Moebius sets stays")]
    [InlineData("{spec: {containers: [{name: inference, env: {$patch: delete}}]}}", "spec.podTemplate.spec.containers[inference].env: must be a list of objects with a name: what Moebius sets stays")]
    [InlineData("{spec: {containers: [{name: inference, env: null}]}}", "spec.podTemplate.spec.containers[inference].env: must be a list of objects with a name: what Moebius sets stays")]
    [InlineData("{spec: {initContainers: [{name: kvcache, volumeMounts: [{$patch: replace}, {mountPath: /cache, name: x}]}]}}", "spec.podTemplate.spec.initContainers[kvcache].volumeMounts: must be a list of objects with a mountPath: what Moebius sets stays")]
    [InlineData("{spec: {initContainers: [{name: kvcache, volumeMounts: [{mountPath: '', name: x}]}]}}", "spec.podTemplate.spec.initContainers[kvcache].volumeMounts[]: the path belongs to Moebius: choose another one")]
    [InlineData("{spec: {containers: [{name: inference, volumeMounts: [{mountPath: /, name: x}]}]}}", "spec.podTemplate.spec.containers[inference].volumeMounts[/]: the path belongs to Moebius")]
    [InlineData("{spec: {containers: [{name: inference, volumeMounts: [{mountPath: /cache/../models/model, name: x}]}]}}", "spec.podTemplate.spec.containers[inference].volumeMounts[/cache/../models/model]: the path belongs to Moebius")]
    [InlineData("{spec: {containers: [{name: inference, volumeMounts: [{mountPath: //models/./model, name: x}]}]}}", "spec.podTemplate.spec.containers[inference].volumeMounts[//models/./model]: the path belongs to Moebius")]
    [InlineData("{metadata: null}", "spec.podTemplate.metadata: must be an object with labels or annotations")]
    [InlineData("{metadata: [a]}", "spec.podTemplate.metadata: must be an object with labels or annotations")]
    [InlineData("{spec: [a]}", "spec.podTemplate.spec: must be an object")]
    [InlineData("{spec: null}", "spec.podTemplate.spec: must not be removed")]
    [InlineData("{metadata: {labels: {app.kubernetes.io/instance: x}}}", "spec.podTemplate.metadata.labels[app.kubernetes.io/instance]: belongs to Moebius: choose another name")]
    [InlineData("{metadata: {name: x}}", "spec.podTemplate.metadata.name: only labels and annotations can be added")]
    [InlineData("{metadata: {annotations: {$patch: replace}}}", "spec.podTemplate.metadata.annotations.$patch: annotations can be added, not replaced")]
    [InlineData("{replicas: 3}", "spec.podTemplate.replicas: a pod template has metadata and spec only")]
    [InlineData("{spec: {hostNetwrk: true}}", "spec.podTemplate.spec.hostNetwrk: a pod template has no such field: remove it")]
    [InlineData("{spec: {hostNetwork: 'yes'}}", "spec.podTemplate.spec.hostNetwork: 'yes' is not of the type that a pod template has there")]
    [InlineData("{spec: {$setElementOrder/containers: []}}", "spec.podTemplate.spec.$setElementOrder/containers: not a directive that is understood")]
    public void What_Moebius_owns_and_what_is_no_template_is_refused(string template, string message)
    {
        var plan = Plan(template);
        Assert.Empty(plan.Children);
        var problem = Assert.Single(plan.Problems);
        Assert.Equal(Reasons.InvalidSpec, problem.Reason);
        Assert.StartsWith(message, problem.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("kvCache: {enabled: false}", "[{containerPort: 9401, name: metrics}]")]
    [InlineData("serving: {port: 8080}", "[{containerPort: 8000}]")]
    // Another protocol has ports of its own, and who deletes a container listens nowhere.
    [InlineData("replicas: 1", "[{containerPort: 9400, protocol: UDP}]")]
    [InlineData("replicas: 1", "[{containerPort: 9400}], $patch: delete")]
    public void Ports_that_nobody_listens_on_are_free(string spec, string ports) => Assert.Empty(MoEDeploymentPlanner.Plan(
        Samples.MoE($"{spec}\npodTemplate: {{spec: {{containers: [{{name: mine, image: x, ports: {ports}}}]}}}}"), MoEReferences.None, OperatorSettings.Default, ServerCapabilities.Latest).Problems);

    [Theory]
    [InlineData("7")]
    [InlineData("[7]")]
    [InlineData("[{containerPort: '9400'}]")]
    [InlineData("[{containerPort: [], name: {}}]")]
    public void Ports_that_are_none_are_told_by_their_type(string ports) =>
        Assert.Contains("is not of the type that a pod template has there", Assert.Single(Plan($"{{spec: {{containers: [{{name: mine, image: x, ports: {ports}}}]}}}}").Problems).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("{a: {b: 1, c: 2}}", "{a: {c: null, d: 3}}", "{a: {b: 1, d: 3}}")]
    [InlineData("{a: {b: 1}}", "{a: {$patch: replace, c: 2}}", "{a: {c: 2}}")]
    [InlineData("{a: {b: 1}, d: 1}", "{a: {$patch: delete}}", "{d: 1}")]
    [InlineData("{args: [a, b]}", "{args: [c]}", "{args: [c]}")]
    [InlineData("{env: [{name: a, value: '1'}, {name: b, value: '2'}]}", "{env: [{name: b, value: '3'}, {name: c, value: '4'}]}", "{env: [{name: a, value: '1'}, {name: b, value: '3'}, {name: c, value: '4'}]}")]
    [InlineData("{env: [{name: a}, {name: b}]}", "{env: [{name: a, $patch: delete}]}", "{env: [{name: b}]}")]
    [InlineData("{env: [{name: a}]}", "{env: [{name: b, $patch: delete}]}", "{env: [{name: a}]}")]
    [InlineData("{env: [{name: a}]}", "{env: [{$patch: replace}, {name: b}]}", "{env: [{name: b}]}")]
    [InlineData("{tolerations: [{key: a}]}", "{tolerations: [{key: b}]}", "{tolerations: [{key: b}]}")]
    public void Merging_is_strategic(string target, string patch, string expected) =>
        Assert.Equal(Json(expected).ToJsonString(), StrategicMerge.Merge(Json(target), Json(patch)).ToJsonString());
}
