using System.CommandLine;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;

namespace Moebius.Crds.Tests;

public sealed class CrdCommandsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Fact]
    public void Check_names_the_file_that_differs_and_generate_repairs_it()
    {
        string[] places = ["--output", _folder.File("m"), "--reference", _folder.File("api.md")];
        Assert.Equal(0, Run(["crds", "generate", .. places]).ExitCode);
        Assert.Equal((0, "", ""), Run(["crds", "check", .. places]));

        var changed = Path.Combine(_folder.File("m"), "moebius.dev_promptoptimizers.yaml");
        File.AppendAllText(changed, "#\n");
        var check = Run(["crds", "check", .. places]);
        Assert.Equal((1, ""), (check.ExitCode, check.Output));
        Assert.Equal($"{changed}: differs from what the types generate: run `moebius crds generate` (make crds)\n", check.Error);

        Assert.Equal((0, $"wrote {changed}\n", ""), Run(["crds", "generate", .. places]));
    }

    [Fact]
    public void Validate_says_what_it_checked_and_exits_with_2_on_errors()
    {
        var good = Write("good.yaml", "{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolicy, metadata: {name: p}, spec: {}}\n---\n{apiVersion: v1, kind: Secret, metadata: {name: s}}\n");
        var bad = Write("bad.yaml", "{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolicy, metadata: {name: p}, spec: {mode: Open, x: 1}}\n");

        Assert.Equal(
            (0, $"{good}: document 1: KVPrivacyPolicy/p: valid\n{good}: document 2: Secret/s: not checked: apiVersion 'v1' is not of moebius.dev\n", ""),
            Run(["validate", "-f", good]));
        var both = Run(["validate", "-f", bad, "-f", good]);
        Assert.Equal(2, both.ExitCode);
        Assert.StartsWith($"{bad}: document 1: KVPrivacyPolicy/p: spec.mode: 'Open' is not allowed: use one of SafeKV, Isolate, Share\n{bad}: document 1: KVPrivacyPolicy/p: spec.x: unknown field", both.Error, StringComparison.Ordinal);
        Assert.Contains("good.yaml: document 1: KVPrivacyPolicy/p: valid", both.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{apiVersion: mobius.dev/v1alpha1, kind: PromptOptimizer, metadata: {name: a}}", "document 1: PromptOptimizer/a: apiVersion: 'mobius.dev/v1alpha1' has no PromptOptimizer: did you mean moebius.dev/v1alpha1?")]
    [InlineData("{apiVersion: v1, kind: promptoptimizer, metadata: {name: a}}", "document 1: promptoptimizer/a: apiVersion: 'v1' has no PromptOptimizer: did you mean moebius.dev/v1alpha1?")]
    [InlineData("{apiVersion: mobius.dev/v1, kind: PromptOptimiser, metadata: {name: a}}", "document 1: PromptOptimiser/a: apiVersion: 'mobius.dev/v1': did you mean moebius.dev/v1alpha1?")]
    [InlineData("{kind: PromptOptimizer, metadata: {name: a}}", "document 1: PromptOptimizer/a: apiVersion: required field is missing: write moebius.dev/v1alpha1")]
    [InlineData("{apiVersion: [1], kind: Secret, metadata: {name: a}}", "document 1: Secret/a: apiVersion: a list is not a text: expected a resource, such as one of moebius.dev/v1alpha1")]
    [InlineData("{replicas: 1}", "document 1: ?/?: apiVersion: required field is missing: expected a resource, such as one of moebius.dev/v1alpha1")]
    [InlineData("{apiVersion: v1}", "document 1: ?/?: kind: required field is missing: expected the kind of a resource")]
    public void Validate_refuses_what_could_have_been_meant_as_a_resource_of_ours(string document, string says)
    {
        var good = "\n---\n{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolicy, metadata: {name: p}, spec: {}}\n";
        var file = Write("f.yaml", document + good);
        Assert.Equal((2, $"{file}: document 2: KVPrivacyPolicy/p: valid\n", $"{file}: {says}\n"), Run(["validate", "-f", file]));
    }

    [Fact]
    public void Validate_does_not_pass_where_it_checked_nothing()
    {
        var file = Write("f.yaml", "{apiVersion: v1, kind: Secret, metadata: {name: s}}\n");
        var good = Write("good.yaml", "{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolicy, metadata: {name: p}, spec: {}}\n");
        var error = Assert.Throws<UserInputException>(() => Read([file]));
        Assert.Equal($"{file}: nothing was checked: expected resources of moebius.dev/v1alpha1", error.Message);
        // A file of its own beside one with a resource of ours is how Secrets are often kept.
        Assert.True(Read([file, good]));

        static bool Read(string[] paths) => ManifestReport.Write(paths, static _ => [], TextWriter.Null, TextWriter.Null);
    }

    [Fact]
    public void Validate_checks_valid_resources_beside_each_other()
    {
        var file = Write("f.yaml", "{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolicy, metadata: {name: p}, spec: {x: 1}}\n---\n{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolicy, metadata: {name: q}, spec: {}}\n");
        var more = Write("more.yaml", "{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolicy, metadata: {name: r}, spec: {}}\n");
        var both = Run(["validate", "-f", file, more], resources =>
        {
            Assert.Equal(["q", "r"], resources.Cast<KVPrivacyPolicy>().Select(policy => policy.Metadata.Name));
            return [(resources[1], "spec: no"), (resources[1], "spec: never")];
        });
        Assert.Equal((2, $"{file}: document 2: KVPrivacyPolicy/q: valid\n"), (both.ExitCode, both.Output));
        Assert.EndsWith($"{more}: document 1: KVPrivacyPolicy/r: spec: no\n{more}: document 1: KVPrivacyPolicy/r: spec: never\n", both.Error, StringComparison.Ordinal);
        Assert.StartsWith($"{file}: document 1: KVPrivacyPolicy/p: spec.x: unknown field", both.Error, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();

    private static (int ExitCode, string Output, string Error) Run(string[] arguments, ResourceCheck? check = null)
    {
        var root = new RootCommand();
        foreach (var command in CrdCommands.Create(check ?? (static _ => [])))
            root.Subcommands.Add(command);
        var (output, error) = (new StringWriter { NewLine = "\n" }, new StringWriter { NewLine = "\n" });
        var exitCode = root.Parse(arguments).Invoke(new InvocationConfiguration { Output = output, Error = error });
        return (exitCode, output.ToString(), error.ToString());
    }

    private string Write(string name, string text)
    {
        File.WriteAllText(_folder.File(name), text);
        return _folder.File(name);
    }
}
