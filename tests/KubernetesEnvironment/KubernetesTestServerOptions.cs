namespace Moebius.KubernetesEnvironment;

/// <summary>What a <see cref="KubernetesTestServer"/> starts beside etcd and kube-apiserver.</summary>
public sealed record KubernetesTestServerOptions
{
    /// <summary>
    /// Whether kube-controller-manager runs: garbage collection by owner reference, deletion of namespaces, Deployments
    /// that make ReplicaSets. Without it objects stay as the test writes them, and pods need no service account. There is
    /// no scheduler and no node in either case.
    /// </summary>
    public bool ControllerManager { get; init; }

    /// <summary>Which controllers run in it, by their names in <c>kube-controller-manager --controllers</c>.</summary>
    public IReadOnlyList<string> Controllers { get; init; } =
    [
        "garbagecollector", "namespace", "clusterrole-aggregation", "serviceaccount", "serviceaccount-token", "root-ca-cert-publisher",
        "deployment", "replicaset", "statefulset", "daemonset", "endpoint", "endpointslice", "disruption",
    ];

    /// <summary>
    /// The reference of the image that holds a pod's namespaces, when this machine is to be the node that runs pods; null
    /// for a cluster without a node. <see cref="KubernetesTestServer.ImportNodeImagesAsync"/> must import it.
    /// </summary>
    public string? NodePauseImage { get; init; }

    /// <summary>
    /// Serve CRDs from the core even when it is too old for CEL rules. Such a core drops the rules without a word, but
    /// <c>kubectl explain</c> works on its custom resources, which the separate server behind an old aggregator cannot do.
    /// </summary>
    public bool CustomResourcesFromCore { get; init; }

    /// <summary>Put a proxy before etcd that <see cref="KubernetesTestServer.EtcdDelay"/> makes slow.</summary>
    public bool SlowableEtcd { get; init; }

    /// <summary>How long the start, and every later wait for the server, may take.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromMinutes(2);
}
