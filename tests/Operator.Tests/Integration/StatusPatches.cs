using k8s;
using k8s.Models;

namespace Moebius.Operator.Tests.Integration;

/// <summary>What kubelets and workload controllers would say.</summary>
internal static class StatusPatches
{
    public static async Task PatchDeploymentStatusAsync(this OperatorCluster cluster, string @namespace, string name, string patch)
    {
        var generation = await cluster.GetAsync(@namespace, $"deployment/{name}", ".metadata.generation");
        using var client = cluster.CreateClient();
        await client.AppsV1.PatchNamespacedDeploymentStatusAsync(
            new V1Patch(patch.Replace("GENERATION", generation, StringComparison.Ordinal), V1Patch.PatchType.MergePatch), name, @namespace);
    }

    /// <summary>A pod of the MoEDeployment <c>austen</c>, named <c>austen-1</c>.</summary>
    public static Task CreateInferencePodAsync(this OperatorCluster cluster, string @namespace) => cluster.ApplyAsync(
        """
        apiVersion: v1
        kind: Pod
        metadata:
          name: austen-1
          labels: {app.kubernetes.io/managed-by: moebius-operator, app.kubernetes.io/component: inference, app.kubernetes.io/instance: austen}
        spec: {containers: [{name: inference, image: x}]}
        """,
        "-n",
        @namespace);

    public static async Task PatchStatusAsync(this OperatorCluster cluster, string @namespace, string pod, string patch)
    {
        using var client = cluster.CreateClient();
        await client.CoreV1.PatchNamespacedPodStatusAsync(new V1Patch(patch, V1Patch.PatchType.MergePatch), pod.Split('/')[1], @namespace);
    }
}
