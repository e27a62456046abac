using k8s;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Tests;

/// <summary>Resources as a user writes them.</summary>
internal static class Samples
{
    public static readonly ServerCapabilities Old = new(new Version(1, 20), ["v1", "apps/v1", "networking.k8s.io/v1"]);

    public static T Parse<T>(string yaml)
        where T : IKubernetesObject<V1ObjectMeta>
    {
        var result = Manifests.Convert<T>(Manifests.ParseDocuments(yaml, "sample")[0], "sample");
        result.Metadata.Uid ??= Guid.NewGuid().ToString();
        result.Metadata.Generation ??= 1;
        return result;
    }

    public static MoEDeployment MoE(string spec = "", string name = "austen") => Parse<MoEDeployment>($$$"""
        apiVersion: moebius.dev/v1alpha1
        kind: MoEDeployment
        metadata: {name: {{{name}}}, namespace: shop}
        spec:
          model: {source: {hostPath: {path: /models/austen} } }
        {{{Indent(spec)}}}
        """);

    /// <summary>A MoEDeployment whose model comes from a bucket.</summary>
    public static MoEDeployment Remote(string spec = "", string source = "s3: {uri: 's3://models/austen', credentialsSecretRef: {name: aws}}") => Parse<MoEDeployment>($$$"""
        apiVersion: moebius.dev/v1alpha1
        kind: MoEDeployment
        metadata: {name: austen, namespace: shop}
        spec:
          model: {source: { {{{source}}}, store: {size: 10Gi} } }
        {{{Indent(spec)}}}
        """);

    public static KVPrivacyPolicy Policy(string spec = "mode: SafeKV", string name = "strict") => Parse<KVPrivacyPolicy>($$$"""
        apiVersion: moebius.dev/v1alpha1
        kind: KVPrivacyPolicy
        metadata: {name: {{{name}}}, namespace: shop, generation: 7}
        spec:
        {{{Indent(spec)}}}
        """);

    public static MemorySchedulingProfile Profile(string spec = "policy: {strategy: Auto}", string name = "cxl", DateTime? created = null)
    {
        var profile = Parse<MemorySchedulingProfile>($$$"""
            apiVersion: moebius.dev/v1alpha1
            kind: MemorySchedulingProfile
            metadata: {name: {{{name}}} }
            spec:
            {{{Indent(spec)}}}
            """);
        profile.Metadata.CreationTimestamp = created;
        return profile;
    }

    public static PromptOptimizer Optimizer(string spec = "languageModel: {moeDeploymentRef: {name: austen}}", string name = "sculptor") => Parse<PromptOptimizer>($$$"""
        apiVersion: moebius.dev/v1alpha1
        kind: PromptOptimizer
        metadata: {name: {{{name}}}, namespace: shop}
        spec:
        {{{Indent(spec)}}}
        """);

    public static T Child<T>(this Plan plan) => Assert.Single(plan.Children.OfType<T>());

    private static string Indent(string text) => string.Join('\n', text.Split('\n').Select(line => "  " + line));
}
