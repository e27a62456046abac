namespace Moebius.KubernetesEnvironment.Node;

/// <summary>Addresses of a cluster with a node. A node's address cannot be a loopback address, so a bridge carries it.</summary>
internal static class NodeNetwork
{
    public const string Name = "moebius-node";
    public const string NodeBridge = "moebius-node";
    public const string NodeAddress = "10.99.0.1";
    public const string PodBridge = "moebius-pods";
    public const string PodSubnet = "10.244.0.0/24";

    /// <summary>The first address of the services' range: the API server's own.</summary>
    public const string ApiServerService = "10.96.0.1";
}
