using k8s;
using k8s.Models;

namespace Moebius.Crds;

/// <summary>A Moebius custom resource: identity, what is wanted, what is.</summary>
/// <typeparam name="TSpec">The desired state.</typeparam>
/// <typeparam name="TStatus">The observed state, written by the operator only.</typeparam>
public abstract class CustomResource<TSpec, TStatus> : IKubernetesObject<V1ObjectMeta>, ISpec<TSpec>, IStatus<TStatus?>
    where TStatus : class
{
    /// <summary>Always <c>moebius.dev/v1alpha1</c>.</summary>
    public string ApiVersion { get; set; } = ApiGroup.ApiVersion;

    /// <summary>The resource's kind.</summary>
    public string Kind { get; set; } = "";

    /// <summary>Name, namespace, labels, annotations, generation.</summary>
    public V1ObjectMeta Metadata { get; set; } = new();

    /// <summary>What is wanted.</summary>
    public required TSpec Spec { get; set; }

    /// <summary>What is, as the operator last saw it.</summary>
    public TStatus? Status { get; set; }
}
