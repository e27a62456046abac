using System.CommandLine;

namespace Moebius.Cli.Tests;

/// <summary>What the operator refuses in a condition, <c>moebius validate</c> refuses where it needs no cluster for it.</summary>
public sealed class ValidateTests : IDisposable
{
    private readonly string _file = Path.Combine(Directory.CreateTempSubdirectory("moebius-validate-").FullName, "m.yaml");

    public void Dispose() => Directory.Delete(Path.GetDirectoryName(_file)!, recursive: true);

    [Theory]
    [InlineData("KVPrivacyPolicy", "rules: {custom: [{name: x, pattern: 'a*'}]}", "spec.rules.custom[x].pattern: 'a*' matches the empty text")]
    [InlineData("KVPrivacyPolicy", "rules: {custom: [{name: x, pattern: '(a)\\1'}]}", "spec.rules.custom[x].pattern: '(a)\\1' is not usable")]
    [InlineData("MoEDeployment", "model: {source: {hostPath: {path: /m}}}, experts: {slowTier: HostMemory}", "spec.experts.slowTier: HostMemory is for a fast tier on a device")]
    [InlineData("MoEDeployment", "model: {source: {hostPath: {path: /m}}}, resources: {limits: {memory: 1Mi}}", "spec.resources.limits.memory: 1 MiB is less than the 1.5 GiB of")]
    [InlineData("MemorySchedulingProfile", "nodeSelector: {'a b': c}", "spec.nodeSelector[a b]: 'a b' is not the key of a label")]
    [InlineData("PromptOptimizer", "languageModel: {endpoint: {url: 'http://m/v1', model: m}}, store: {size: '0'}", "spec.store.size: '0' is nothing")]
    public void What_the_operator_refuses_is_refused(string kind, string spec, string says)
    {
        var (code, output, error) = Validate($"apiVersion: moebius.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{{spec}}}\n");
        Assert.Equal((2, ""), (code, output));
        Assert.StartsWith($"{_file}: document 1: {kind}/a: {says}", error, StringComparison.Ordinal);
    }

    [Fact]
    public void What_depends_on_the_cluster_is_not_refused()
    {
        var (code, output, error) = Validate("""
            apiVersion: moebius.dev/v1alpha1
            kind: MoEDeployment
            metadata: {name: a}
            spec:
              model: {source: {hostPath: {path: /m}}}
              memorySchedulingProfileRef: {name: elsewhere}
              kvCache: {policyRef: {name: elsewhere}}
            ---
            apiVersion: moebius.dev/v1alpha1
            kind: KVPrivacyPolicy
            metadata: {name: p}
            spec: {publicPrefixes: [{name: a, configMapRef: {name: elsewhere, key: k}}]}

            """);
        Assert.Equal((0, $"{_file}: document 1: MoEDeployment/a: valid\n{_file}: document 2: KVPrivacyPolicy/p: valid\n", ""), (code, output, error));
    }

    [Theory]
    [InlineData("MoEDeployment", "model: {source: {hostPath: {path: /m}}}, kvCache: {shared: {address: 'valkey:6379', passwordSecretRef: {name: s, key: k}}}", "spec.kvCache.shared.tls: is false, and the password")]
    [InlineData("MoEDeployment", "model: {source: {huggingFace: {repository: a/b, endpoint: 'http://hub', tokenSecretRef: {name: s, key: k}}, store: {size: 1Gi}}}", "spec.model.source.huggingFace.endpoint: 'http://hub' has no TLS")]
    [InlineData("MoEDeployment", "model: {source: {hostPath: {path: /m}}}, integrations: {endpointPickerRef: {name: epp}}", "spec.networkPolicy.allowMetricsFrom: names nobody, and the endpoint picker 'epp'")]
    [InlineData("KVPrivacyPolicy", "classifier: {type: BuiltIn}, contextCheck: {endpoint: {url: 'http://judge/v1', model: m, apiKeySecretRef: {name: s, key: k}}}", "spec.contextCheck.endpoint.url: has no TLS, and the key")]
    [InlineData("PromptOptimizer", "languageModel: {endpoint: {url: 'http://m/v1', model: m, apiKeySecretRef: {name: s, key: k}}}", "spec.languageModel.endpoint.url: has no TLS, and the key")]
    public void What_is_valid_and_still_should_be_known_is_a_warning(string kind, string spec, string says)
    {
        var manifest = $"apiVersion: moebius.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{{spec}}}\n";
        var (code, output, error) = Validate(manifest);
        Assert.Equal((0, $"{_file}: document 1: {kind}/a: valid\n"), (code, output));
        Assert.StartsWith($"{_file}: document 1: {kind}/a: warning: {says}", error, StringComparison.Ordinal);
        Assert.Single(error.TrimEnd().Split('\n'));

        // What is encrypted, or has no secret, is not told of.
        foreach (var right in new[] { manifest.Replace("http://", "https://", StringComparison.OrdinalIgnoreCase).Replace("passwordSecretRef", "tls: true, passwordSecretRef", StringComparison.Ordinal).Replace("endpointPickerRef: {name: epp}", "inferencePool: Auto", StringComparison.Ordinal) })
            Assert.Equal((0, ""), (Validate(right).Code, Validate(right).Error));
    }

    private (int Code, string Output, string Error) Validate(string yaml)
    {
        File.WriteAllText(_file, yaml);
        var root = new RootCommand();
        foreach (var command in Commands.For("validate"))
            root.Add(command);
        var (output, error) = (new StringWriter { NewLine = "\n" }, new StringWriter { NewLine = "\n" });
        var code = root.Parse(["validate", "-f", _file]).Invoke(new InvocationConfiguration { Output = output, Error = error });
        return (code, output.ToString(), error.ToString());
    }
}
