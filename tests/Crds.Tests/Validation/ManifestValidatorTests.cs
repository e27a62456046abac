using System.Text.Json.Nodes;
using Moebius.Crds.Validation;

namespace Moebius.Crds.Tests.Validation;

public sealed class ManifestValidatorTests
{
    private const string Deployment = "{apiVersion: moebius.dev/v1alpha1, kind: MoEDeployment, metadata: {name: a}, spec: {model: {source: {hostPath: {path: /m}}}, more}}";
    private const string Policy = "{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolicy, metadata: {name: a}, spec: {more}}";
    private const string Job = "{apiVersion: moebius.dev/v1alpha1, kind: PromptOptimizationJob, metadata: {name: a}, spec: {optimizerRef: {name: o}, more}}";

    [Theory]
    [InlineData("replicass: 1", "spec.replicass: unknown field: did you mean replicas?")]
    [InlineData("experts: {SlowTier: MemoryMap}", "spec.experts.SlowTier: unknown field: did you mean slowTier?")]
    [InlineData("experts: {colour: red}", "spec.experts.colour: unknown field: known here: fastMemory, slowTier, quantization, prefetch")]
    [InlineData("replicas: three", "spec.replicas: 'three': expected a whole number from 0 to 1000")]
    [InlineData("replicas: 1.5", "spec.replicas: 1.5: expected a whole number from 0 to 1000")]
    [InlineData("replicas: 99999999999", "spec.replicas: 99999999999: expected a whole number from 0 to 1000")]
    [InlineData("replicas: 1001", "spec.replicas: 1001 is out of range: use a whole number from 0 to 1000")]
    [InlineData("replicas: [1]", "spec.replicas: a list: expected a whole number from 0 to 1000")]
    [InlineData("autoscaling: {minReplicas: 1}", "spec.autoscaling.maxReplicas: required field is missing: set it to a whole number from 1 to 1000")]
    [InlineData("experts: 3", "spec.experts: 3: expected an object with fastMemory, slowTier, quantization, prefetch")]
    [InlineData("experts: {slowTier: Memorymap}", "spec.experts.slowTier: 'Memorymap' is not allowed: did you mean MemoryMap? Allowed: DirectIO, MemoryMap, HostMemory")]
    [InlineData("experts: {slowTier: Tape}", "spec.experts.slowTier: 'Tape' is not allowed: use one of DirectIO, MemoryMap, HostMemory")]
    [InlineData("experts: {slowTier: 1}", "spec.experts.slowTier: 1: expected one of DirectIO, MemoryMap, HostMemory")]
    [InlineData("experts: {fastMemory: 4 MB}", "spec.experts.fastMemory: '4 MB' is not a quantity of bytes, such as 512Mi or 2Gi")]
    [InlineData("experts: {fastMemory: -4Mi}", "spec.experts.fastMemory: '-4Mi' is not a quantity of bytes, such as 512Mi or 2Gi")]
    [InlineData("experts: {fastMemory: -4}", "spec.experts.fastMemory: -4 is out of range: use a quantity of bytes, such as 512Mi or 2Gi")]
    [InlineData("experts: {fastMemory: true}", "spec.experts.fastMemory: true: expected a quantity of bytes, such as 512Mi or 2Gi")]
    [InlineData("rollout: {maxSurge: 101%}", "spec.rollout.maxSurge: '101%' is not a whole number from 0 to 1000, or a percentage from 0% to 100%")]
    [InlineData("rollout: {maxUnavailable: -1}", "spec.rollout.maxUnavailable: -1 is out of range: use a whole number from 0 to 1000, or a percentage from 0% to 100%")]
    [InlineData("rollout: {maxUnavailable: '1'}", "spec.rollout.maxUnavailable: '1' is not a whole number from 0 to 1000, or a percentage from 0% to 100%")]
    [InlineData("rollout: {maxUnavailable: 1.5}", "spec.rollout.maxUnavailable: 1.5: expected a whole number from 0 to 1000, or a percentage from 0% to 100%")]
    [InlineData("resources: {limits: {cpu: much}}", "spec.resources.limits.cpu: 'much' is not a quantity, such as 500m, 2 or 512Mi")]
    [InlineData("serving: {drainTimeout: 5 minutes}", "spec.serving.drainTimeout: '5 minutes' is not a duration: whole numbers with units, largest first, such as 1h30m, 60s or 250ms")]
    [InlineData("serving: {drainTimeout: ''}", "spec.serving.drainTimeout: '' is not a duration: whole numbers with units, largest first, such as 1h30m, 60s or 250ms")]
    [InlineData("kvCache: {enabled: 'yes'}", "spec.kvCache.enabled: 'yes': expected true or false")]
    [InlineData("memorySchedulingProfileRef: {name: Upper}", "spec.memorySchedulingProfileRef.name: 'Upper' does not match ^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
    [InlineData("image: ''", "spec.image: 0 characters: use 1 to 512 characters")]
    [InlineData("imagePullSecrets: [null]", "spec.imagePullSecrets[0]: no value: expected an object with name")]
    [InlineData("placement: {tolerations: [{effect: Never}]}", "spec.placement.tolerations[0].effect: 'Never' is not allowed: use one of NoSchedule, PreferNoSchedule, NoExecute")]
    [InlineData("placement: {topologySpreadConstraints: [{maxSkew: 0, topologyKey: z, whenUnsatisfiable: DoNotSchedule}]}", "spec.placement.topologySpreadConstraints[0].maxSkew: 0 is out of range: use a whole number, 1 or more")]
    public void A_wrong_field_of_a_MoEDeployment_is_named_with_what_would_be_right(string more, string expected) => AssertError(Deployment, more, expected);

    [Theory]
    [InlineData("publicPrefixes: [{name: a, text: x}, {name: b, text: x}, {name: a, text: y}]", "spec.publicPrefixes[2].name: 'a' stands at spec.publicPrefixes[0] already: use each value once")]
    [InlineData("rules: {disabled: [Email, Iban, Email]}", "spec.rules.disabled[2]: 'Email' stands at spec.rules.disabled[0] already: use each value once")]
    [InlineData("publicPrefixes: [{text: x}]", "spec.publicPrefixes[0].name: required field is missing: set it to a text")]
    public void A_wrong_item_is_named_with_its_index(string more, string expected) => AssertError(Policy, more, expected);

    [Theory]
    [InlineData("prompts: []", "spec.prompts: 0 items: use 1 to 64 items")]
    [InlineData("prompts: ['']", "spec.prompts[0]: 0 characters: use 1 to 8192 characters")]
    public void Counts_and_lengths_are_checked(string more, string expected) => AssertError(Job, more, expected);

    [Theory]
    [InlineData("{kind: MoEDeployment}", "apiVersion: no value: write moebius.dev/v1alpha1")]
    [InlineData("{apiVersion: moebius.dev/v1, kind: MoEDeployment}", "apiVersion: 'moebius.dev/v1': write moebius.dev/v1alpha1")]
    [InlineData("{apiVersion: moebius.dev/v1alpha1, kind: MoeDeployments}", "kind: 'MoeDeployments' is not a kind of moebius.dev/v1alpha1: did you mean MoEDeployment?")]
    [InlineData("{apiVersion: moebius.dev/v1alpha1, kind: Pod}", "kind: 'Pod' is not a kind of moebius.dev/v1alpha1: use one of MoEDeployment, KVPrivacyPolicy, MemorySchedulingProfile, PromptOptimizer, PromptOptimizationJob")]
    [InlineData("{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolicy, spec: {}}", "metadata.name: required field is missing: give the resource a name")]
    [InlineData("{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolicy, metadata: {name: A_b}, spec: {}}", "metadata.name: 'A_b' is not a name: use at most 63 lower-case letters, digits and '-', starting with a letter and ending with a letter or digit: objects made for it are named after it")]
    [InlineData("{apiVersion: moebius.dev/v1alpha1, kind: PromptOptimizationJob, metadata: {name: A_b}, spec: {optimizerRef: {name: o}, prompt: x}}", "metadata.name: 'A_b' is not a name: use at most 253 lower-case letters, digits, '-' and '.', starting and ending with a letter or digit")]
    [InlineData("{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolicy, metadata: {name: a, label: {}}, spec: {}}", "metadata.label: unknown field: did you mean labels?")]
    [InlineData("{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolicy, metadata: {name: a, labels: {x: 1}}, spec: {}}", "metadata.labels.x: 1: expected a text")]
    [InlineData("{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolicy, metadata: {name: a}}", "spec: required field is missing: set it to an object with fields")]
    [InlineData("{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolicy, metadata: 3, spec: {}}", "metadata: 3: expected an object with fields")]
    [InlineData("{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolicy, metadata: {name: a}, spec: {}, status: {conditions: [{type: Ready, status: 'True', reason: X, message: m, lastTransitionTime: today}]}}", "status.conditions[0].lastTransitionTime: 'today' is not a time, such as 2026-01-31T12:00:00Z")]
    public void A_wrong_document_is_named_with_what_would_be_right(string manifest, string expected) =>
        Assert.Equal([expected], ManifestValidator.Validate(Parse(manifest)).Select(error => error.ToString()));

    [Fact]
    public void All_errors_are_found_in_one_go()
    {
        var errors = ManifestValidator.Validate(Parse(Deployment.Replace("more", "replicas: -1, image: 3, x: 1", StringComparison.Ordinal)));
        Assert.Equal(["spec.replicas", "spec.image", "spec.x"], errors.Select(error => error.Path));
    }

    [Fact]
    public void A_long_value_is_shortened_and_kept_on_one_line()
    {
        var manifest = Parse(Policy.Replace("more", "", StringComparison.Ordinal));
        manifest["spec"]!["mode"] = "a\nb" + new string('x', 500);
        Assert.Equal($"spec.mode: 'a b{new string('x', 57)}...' is not allowed: use one of SafeKV, Isolate, Share", Assert.Single(ManifestValidator.Validate(manifest)).ToString());
    }

    [Fact]
    public void A_line_break_at_the_end_does_not_slip_past_a_pattern()
    {
        var manifest = Parse(Policy.Replace("more", "identity: {tenantHeader: X}", StringComparison.Ordinal));
        manifest["spec"]!["identity"]!["tenantHeader"] = "X\n";
        Assert.Equal("spec.identity.tenantHeader", Assert.Single(ManifestValidator.Validate(manifest)).Path);
    }

    [Theory]
    [InlineData("experts: {fastMemory: 1048576}")]
    [InlineData("experts: {fastMemory: 1.5Gi}")]
    [InlineData("replicas: null")]
    [InlineData("kvCache: null")]
    [InlineData("podTemplate: {spec: {anything: [1, {x: null}]}}")]
    [InlineData("resources: {limits: {cpu: 500m, memory: 2e9}}")]
    public void What_an_API_server_takes_is_valid(string more) =>
        Assert.Empty(ManifestValidator.Validate(Parse(Deployment.Replace("more", more, StringComparison.Ordinal))));

    [Theory]
    [InlineData("https://example.com/a.tar?X-Signature=a@b", true)]
    [InlineData("http://10.0.0.1:9000/a@b/c.zip", true)]
    [InlineData("https://user:pass@example.com/a.tar", false)]
    [InlineData("https://user@example.com", false)]
    [InlineData("https://", false)]
    public void The_address_of_a_model_holds_no_credentials(string url, bool valid)
    {
        var manifest = "{apiVersion: moebius.dev/v1alpha1, kind: MoEDeployment, metadata: {name: a}, spec: {model: {store: {size: 1Gi}, source: {http: {url: \"" + url + "\", sha256: \"" + new string('0', 64) + "\"}}}}}";
        var errors = ManifestValidator.Validate(Parse(manifest)).Select(error => error.ToString()).ToList();
        Assert.Equal(!valid, errors.Any(error => error.StartsWith("spec.model.source.http.url: ", StringComparison.Ordinal)));
        // What refuses a password does not show it either.
        Assert.All(errors, error => Assert.DoesNotContain("user", error, StringComparison.Ordinal));
    }

    private static void AssertError(string manifest, string more, string expected) =>
        Assert.Equal([expected], ManifestValidator.Validate(Parse(manifest.Replace("more", more, StringComparison.Ordinal))).Select(error => error.ToString()));

    private static JsonObject Parse(string yaml) => Manifests.ParseDocuments(yaml, "test").Single();
}
