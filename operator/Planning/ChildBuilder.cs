using System.Security.Cryptography;
using System.Text;
using k8s;
using k8s.Models;

namespace Moebius.Operator.Planning;

/// <summary>Metadata that all children of one resource share.</summary>
/// <param name="owner">The resource.</param>
/// <param name="component">Its component label.</param>
/// <param name="namespace">Where the children live.</param>
internal sealed class ChildBuilder(IKubernetesObject<V1ObjectMeta> owner, string component, string @namespace)
{
    public Dictionary<string, string> Selector() => Labels.Selector(component, owner.Metadata.Name);

    public V1ObjectMeta Metadata(string name) => new()
    {
        Name = name,
        NamespaceProperty = @namespace,
        Labels = Labels.Of(component, owner.Metadata.Name),
        OwnerReferences =
        [
            new V1OwnerReference
            {
                ApiVersion = owner.ApiVersion,
                Kind = owner.Kind,
                Name = owner.Metadata.Name,
                Uid = owner.Metadata.Uid,
                Controller = true,
                BlockOwnerDeletion = true,
            },
        ],
    };

    public V1ObjectMeta PodMetadata(string? config)
    {
        var metadata = new V1ObjectMeta { Labels = Labels.Of(component, owner.Metadata.Name) };
        if (config is not null)
            metadata.Annotations = new Dictionary<string, string> { [Labels.ConfigHash] = Hash(config) };
        return metadata;
    }

    public V1ServiceAccount ServiceAccount(string name) => new()
    {
        ApiVersion = "v1",
        Kind = "ServiceAccount",
        Metadata = Metadata(name),
        AutomountServiceAccountToken = false,
    };

    public V1ConfigMap ConfigMap(string name, Dictionary<string, string> data) => new()
    {
        ApiVersion = "v1",
        Kind = "ConfigMap",
        Metadata = Metadata(name),
        Data = data,
    };

    public V1Service Service(string name, params (string Name, int Port)[] ports) => new()
    {
        ApiVersion = "v1",
        Kind = "Service",
        Metadata = Metadata(name),
        Spec = new V1ServiceSpec
        {
            Type = "ClusterIP",
            Selector = Selector(),
            Ports = [.. ports.Select(port => new V1ServicePort { Name = port.Name, Port = port.Port, TargetPort = port.Name, Protocol = "TCP" })],
        },
    };

    /// <summary>A claim to storage that pods of one node, or of several, may mount.</summary>
    public V1PersistentVolumeClaim Claim(string name, string access, string? storageClass, ResourceQuantity size) => new()
    {
        ApiVersion = "v1",
        Kind = "PersistentVolumeClaim",
        Metadata = Metadata(name),
        Spec = new V1PersistentVolumeClaimSpec
        {
            AccessModes = [access],
            StorageClassName = storageClass,
            Resources = new V1VolumeResourceRequirements { Requests = new Dictionary<string, ResourceQuantity> { ["storage"] = size } },
        },
    };

    /// <summary>Lets the pods have this traffic and no other.</summary>
    public V1NetworkPolicy NetworkPolicy(string name, IList<V1NetworkPolicyIngressRule>? ingress, IList<V1NetworkPolicyEgressRule> egress) => new()
    {
        ApiVersion = "networking.k8s.io/v1",
        Kind = "NetworkPolicy",
        Metadata = Metadata(name),
        Spec = new V1NetworkPolicySpec
        {
            PodSelector = new V1LabelSelector { MatchLabels = Selector() },
            PolicyTypes = ["Ingress", "Egress"],
            Ingress = ingress,
            Egress = egress,
        },
    };

    /// <summary>The first 16 hexadecimal digits of a text's SHA-256.</summary>
    public static string Hash(string text) => Hash(Encoding.UTF8.GetBytes(text));

    /// <summary>The first 16 hexadecimal digits of the SHA-256 of a text in UTF-8.</summary>
    public static string Hash(ReadOnlySpan<byte> text) => Convert.ToHexStringLower(SHA256.HashData(text).AsSpan(0, 8));
}
