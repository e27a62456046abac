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
