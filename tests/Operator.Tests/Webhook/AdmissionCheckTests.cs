using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Webhook;

namespace Moebius.Operator.Tests.Webhook;

public sealed class AdmissionCheckTests
{
    private const string Bad = "serving: {port: 9401}";

    private static JsonObject MoE(string spec, string metadata = "name: a, namespace: b") =>
        Manifests.ParseDocuments($"{{apiVersion: moebius.dev/v1alpha1, kind: MoEDeployment, metadata: {{{metadata}}}, spec: {{model: {{source: {{hostPath: {{path: /m}} }} }}, {spec}}} }}", "m")[0];

    private static AdmissionVerdict Judge(JsonObject after, JsonObject? before = null, MemorySchedulingProfile? profile = null) =>
        AdmissionCheck.Judge(after, before, OperatorSettings.Default, new PlayedCluster(profile));

    [Fact]
    public void A_spec_that_can_never_be_right_is_refused_and_a_missing_reference_is_a_warning()
    {
        Assert.Equal(["spec.serving.port: 9401 is the port of the cache's metrics: choose another one, such as 8000"], Judge(MoE(Bad)).Errors);
        var missing = Judge(MoE("kvCache: {policyRef: {name: later}}, memorySchedulingProfileRef: {name: cxl}"));
        Assert.Empty(missing.Errors);
        Assert.Equal(2, missing.Warnings.Count);
    }

    [Fact]
    public void An_object_that_was_stored_before_can_still_be_labelled_finalized_and_deleted()
    {
        Assert.Empty(Judge(MoE(Bad, "name: a, namespace: b, labels: {x: y}"), MoE(Bad)).Errors);
        Assert.Empty(Judge(MoE(Bad, "name: a, namespace: b, deletionTimestamp: '2026-01-01T00:00:00Z'"), MoE("replicas: 1")).Errors);
        Assert.NotEmpty(Judge(MoE(Bad + ", replicas: 2"), MoE(Bad)).Errors);
    }

    [Fact]
    public void A_change_to_what_is_known_not_to_fit_is_refused()
    {
        Assert.Contains("the memory limit of 4 GiB is 6.8 GiB less", Assert.Single(Judge(Measured("resources: {limits: {memory: 4Gi}}"), MoE("replicas: 1")).Errors), StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_to_be_stopped_is_warned_of_what_only_pods_would_miss()
    {
        var small = Judge(Measured("resources: {limits: {memory: 4Gi}}, replicas: 0"), MoE("replicas: 1"));
        Assert.Empty(small.Errors);
        Assert.Contains("the memory limit of 4 GiB is 6.8 GiB less", Assert.Single(small.Warnings), StringComparison.Ordinal);

        const string Torn = "memorySchedulingProfileRef: {name: cxl}, placement: {nodeSelector: {zone: a}}, replicas: ";
        var profile = Samples.Profile("nodeSelector: {zone: b}");
        var torn = Judge(MoE(Torn + "0"), MoE(Torn + "1"), profile);
        Assert.Empty(torn.Errors);
        Assert.Contains("'a' contradicts 'b'", Assert.Single(torn.Warnings), StringComparison.Ordinal);
        Assert.Contains("'a' contradicts 'b'", Assert.Single(Judge(MoE(Torn + "2"), MoE(Torn + "1"), profile).Errors), StringComparison.Ordinal);
    }

    /// <summary>A MoEDeployment whose status knows the sizes of its model.</summary>
    private static JsonObject Measured(string spec)
    {
        var resource = MoE(spec);
        var source = Manifests.Convert<MoEDeployment>((JsonObject)resource.DeepClone(), "m").Spec;
        resource["status"] = new JsonObject
        {
            ["memory"] = new JsonObject { ["source"] = ModelFetch.SizeKey(source), ["denseBytes"] = 1L << 30, ["expertBytes"] = 8L << 30, ["smallestExpertBytes"] = 1L << 20, ["kvBytesPerToken"] = 1024 },
        };
        return resource;
    }

    [Theory]
    [InlineData("PromptOptimizationJob", "{optimizerRef: {name: none}, prompt: x}", 0, 1)]
    [InlineData("PromptOptimizationJob", "{optimizerRef: {name: none}}", 1, 0)]
    [InlineData("PromptOptimizer", "{languageModel: {moeDeploymentRef: {name: none}}}", 0, 1)]
    [InlineData("PromptOptimizer", "{languageModel: {endpoint: {url: 'http://m/v1', model: m, apiKeySecretRef: {name: s, key: k}}}}", 0, 1)]
    [InlineData("MoEDeployment", "{model: {source: {hostPath: {path: /m}}}, kvCache: {shared: {address: 'valkey:6379', passwordSecretRef: {name: s, key: k}}}}", 0, 1)]
    [InlineData("KVPrivacyPolicy", "{classifier: {type: BuiltIn}, contextCheck: {endpoint: {url: 'http://m/v1', model: m, apiKeySecretRef: {name: s, key: k}}}}", 0, 1)]
    [InlineData("MoEDeployment", "{model: {source: {huggingFace: {repository: a/b}, store: {size: 1Gi}}}, replicas: 2}", 0, 1)]
    [InlineData("MoEDeployment", "{model: {source: {huggingFace: {repository: a/b}, store: {size: 1Gi}}}, autoscaling: {maxReplicas: 2}}", 0, 1)]
    [InlineData("MoEDeployment", "{model: {source: {huggingFace: {repository: a/b}, store: {size: 1Gi}}}, replicas: 1}", 0, 0)]
    [InlineData("MoEDeployment", "{model: {source: {huggingFace: {repository: a/b}, store: {size: 1Gi, accessMode: ReadWriteMany}}}, replicas: 2}", 0, 0)]
    [InlineData("KVPrivacyPolicy", "{classifier: {type: Onnx, onnx: {claimName: c, path: p}}}", 0, 1)]
    [InlineData("KVPrivacyPolicy", "{rules: {custom: [{name: a, pattern: '('}]}}", 1, 0)]
    [InlineData("MemorySchedulingProfile", "{nodeSelectr: {a: b}}", 1, 0)]
    public void Every_kind_is_judged(string kind, string spec, int errors, int warnings)
    {
        var verdict = Judge(Manifests.ParseDocuments($"{{apiVersion: moebius.dev/v1alpha1, kind: {kind}, metadata: {{name: a, namespace: b}}, spec: {spec}}}", "m")[0]);
        Assert.Equal((errors, warnings), (verdict.Errors.Count, verdict.Warnings.Count));
    }

    [Fact]
    public void An_answer_is_one_that_an_API_server_reads()
    {
        Assert.Null(AdmissionReview.Read(JsonNode.Parse("""{"apiVersion":"admission.k8s.io/v1beta1","request":{"uid":"u","object":{}}}""")));
        Assert.Null(AdmissionReview.Read(null));
        Assert.Equal("u", AdmissionReview.Read(JsonNode.Parse("""{"apiVersion":"admission.k8s.io/v1","request":{"uid":"u","object":{}}}"""))!.Value.Uid);
        var answer = AdmissionReview.Answer("u", new AdmissionVerdict(["no"], [new string('w', 1000)]));
        Assert.Equal(("u", false, "no"), ((string?)answer["response"]!["uid"], (bool)answer["response"]!["allowed"]!, (string?)answer["response"]!["status"]!["message"]));
        Assert.Equal(256, ((string)answer["response"]!["warnings"]![0]!).Length);
    }

    private sealed class PlayedCluster(MemorySchedulingProfile? profile) : IAdmissionView
    {
        public ServerCapabilities Server => ServerCapabilities.Latest;

        public IReadOnlyList<MemorySchedulingProfile> Profiles => profile is null ? [] : [profile];

        public T? Find<T>(string? @namespace, string name)
            where T : class, IKubernetesObject<V1ObjectMeta> => profile is T found && profile.Metadata.Name == name ? found : null;
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("1")]
    [InlineData("""{"apiVersion": 1}""")]
    [InlineData("""{"apiVersion": "admission.k8s.io/v1", "request": {"uid": 1, "object": {}}}""")]
    public void What_is_no_question_is_none(string json) => Assert.Null(AdmissionReview.Read(JsonNode.Parse(json)));

    [Theory]
    [InlineData("""{"kind": "MoEDeployment"}""", "MoEDeployment")]
    [InlineData("""{"kind": "Anything-1234"}""", "other")]
    [InlineData("""{"kind": 5}""", "other")]
    public void Only_kinds_of_ours_become_labels(string json, string label) => Assert.Equal(label, AdmissionReview.Kind((JsonObject)JsonNode.Parse(json)!));

    [Fact]
    public void A_key_of_another_certificate_is_told_as_what_the_keeper_tries_again()
    {
        var (one, other) = (ServingCertificate.Create(["a"], null, DateTimeOffset.UtcNow), ServingCertificate.Create(["a"], null, DateTimeOffset.UtcNow));
        Assert.Throws<System.Security.Cryptography.CryptographicException>(() => (one with { Key = other.Key }).Load());
        Assert.Throws<System.Security.Cryptography.CryptographicException>(() => (one with { Key = "nonsense" }).Load());
        Assert.Throws<System.Security.Cryptography.CryptographicException>(() => (one with { Certificate = "" }).Load());
    }
}
