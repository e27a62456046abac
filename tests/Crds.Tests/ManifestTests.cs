using Moebius.Crds.V1Alpha1;

namespace Moebius.Crds.Tests;

public sealed class ManifestTests
{
    private const string Sample = """
        apiVersion: moebius.dev/v1alpha1
        kind: MoEDeployment
        metadata:
          name: austen
        spec:
          model:
            source:
              hostPath:
                path: /models/austen
          experts:
            fastMemory: 4Mi
            slowTier: MemoryMap
        """;

    [Fact]
    public void A_manifest_survives_a_round_trip_with_its_defaults()
    {
        var read = Manifests.Convert<MoEDeployment>(Manifests.ParseDocuments(Sample, "s")[0], "s");
        Assert.Equal("4Mi", read.Spec.Experts.FastMemory?.ToString());
        Assert.Equal(SlowTier.MemoryMap, read.Spec.Experts.SlowTier);
        Assert.Equal(8000, read.Spec.Serving.Port);
        var again = Manifests.ParseDocuments(Manifests.ToYaml(read), "t")[0];
        Assert.Equal(Manifests.ToYaml(read), Manifests.ToYaml(Manifests.Convert<MoEDeployment>(again, "t")));
    }

    [Theory]
    [InlineData("slowTier: MemoryMap", "slowTierr: MemoryMap", "spec.experts.slowTierr: unknown field")]
    [InlineData("slowTier: MemoryMap", "slowTier: Memory", "spec.experts.slowTier: value of the wrong type: use one of DirectIO, MemoryMap, HostMemory")]
    [InlineData("slowTier: MemoryMap", "slowTier: memoryMap", "spec.experts.slowTier: value of the wrong type: use one of DirectIO, MemoryMap, HostMemory")]
    [InlineData("slowTier: MemoryMap", "slowTier: 'DirectIO, MemoryMap'", "spec.experts.slowTier: value of the wrong type: use one of DirectIO, MemoryMap, HostMemory")]
    [InlineData("slowTier: MemoryMap", "slowTier: [1]", "spec.experts.slowTier: value of the wrong type: use one of DirectIO, MemoryMap, HostMemory")]
    [InlineData("model:", "modell:", "spec.modell: unknown field")]
    [InlineData("path: /models/austen", "{}", "required field missing: 'path'")]
    public void A_wrong_field_is_named(string old, string changed, string message)
    {
        var document = Manifests.ParseDocuments(Sample.Replace(old, changed, StringComparison.Ordinal), "f.yaml")[0];
        var error = Assert.Throws<UserInputException>(() => Manifests.Convert<MoEDeployment>(document, "f.yaml"));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.StartsWith("f.yaml: ", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("1h30m", 5400_000)]
    [InlineData("250ms", 250)]
    [InlineData("0s", 0)]
    public void Durations_are_read(string text, long milliseconds) =>
        Assert.Equal(milliseconds, (long)Durations.Parse(text, "f").TotalMilliseconds);

    [Theory]
    [InlineData("")]
    [InlineData("5")]
    [InlineData("1.5h")]
    [InlineData("-1s")]
    [InlineData("1m1h")]
    public void Other_texts_are_not_durations(string text) =>
        Assert.Contains("f: '", Assert.Throws<UserInputException>(() => Durations.Parse(text, "f")).Message, StringComparison.Ordinal);

    [Fact]
    public void Texts_that_look_like_other_values_stay_texts()
    {
        var value = new Dictionary<string, string> { ["a"] = "true", ["b"] = "12", ["c"] = "null", ["d"] = "x\ny\n", ["e"] = "", ["f"] = "1e3", ["g"] = ": #", ["h"] = "on" };
        Assert.Equal(value, Manifests.Convert<Dictionary<string, string>>(Manifests.ParseDocuments(Manifests.ToYaml(value), "s")[0], "s"));
    }

    [Theory]
    [InlineData("a: &a [*a]", "nested more than 64 deep, or an alias that stands for what it is in")]
    [InlineData("a: &a {b: *a}", "nested more than 64 deep, or an alias that stands for what it is in")]
    [InlineData("a: &a [x]\nb: [*a, *c]", "not valid YAML: The anchor 'c'")]
    public void Aliases_without_end_are_refused(string yaml, string message) =>
        Assert.Contains(message, Assert.Throws<UserInputException>(() => Manifests.ParseDocuments(yaml, "f.yaml")).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("    c: 1\n\td: 2\n", 4, "found a tab character")]
    [InlineData("\tc: 1\n", 3, "found invalid tab as indentation")]
    [InlineData("  - x\n\t- y\n", 4, "found a tab character")]
    [InlineData("    c: |\n      x\n      \ty\n    d:\n\te: 2\n", 7, "found invalid tab as indentation")]
    [InlineData("    c: 1\n    c: 2\n", 4, "Duplicate key c")]
    [InlineData("    c: 1\n    d\n    e: 3\n", 4, "did not find expected key")]
    [InlineData("    c: \"x\n  d: 2\n  e: 3\n", 3, "double-quoted")]
    [InlineData("    c: 'x\n  d: 2\n  e: 3\n", 3, "unexpected end of stream")]
    [InlineData("    c: 1\n   d: 2\n", 4, "did not find expected key")]
    [InlineData("    c: 1\n     d: 2\n", 4, "found invalid mapping")]
    [InlineData("    c: [1, 2\n  d: 2\n", 3, "is there a '[' or '{' that is not closed?")]
    [InlineData("    c: {x: 1\n  d: 2\n", 3, "is there a '[' or '{' that is not closed?")]
    [InlineData("    c: *x\n", 3, "The anchor 'x' does not exist")]
    [InlineData("    c: a: b\n", 3, "found invalid mapping")]
    public void A_fault_is_named_with_its_line(string rest, int line, string says)
    {
        var message = Assert.Throws<UserInputException>(() => Manifests.ParseDocuments("a: 1\nb:\n" + rest, "f.yaml")).Message;
        Assert.StartsWith($"f.yaml: line {line}: not valid YAML: ", message, StringComparison.Ordinal);
        Assert.Contains(says, message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_dash_is_standard_input()
    {
        static MemoryStream Input(params byte[] bytes) => new(bytes);
        Assert.Equal(("a: 1", "standard input"), Manifests.ReadArgument("-", () => Input("a: 1"u8.ToArray())));
        Assert.StartsWith("standard input: is not UTF-8", Assert.Throws<UserInputException>(() => Manifests.ReadArgument("-", () => Input(0xFF))).Message, StringComparison.Ordinal);
        Assert.StartsWith("standard input: has a NUL character", Assert.Throws<UserInputException>(() => Manifests.ReadArgument("-", () => Input(0))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Hostile_texts_are_refused_before_they_fill_stack_or_memory()
    {
        static string Refused(string yaml) => Assert.Throws<UserInputException>(() => Manifests.ParseDocuments(yaml, "f.yaml")).Message;
        var deep = string.Concat(Enumerable.Repeat("[", 200_000));
        Assert.StartsWith("f.yaml: line 1: nested more than 64 deep", Refused(deep), StringComparison.Ordinal);
        Assert.StartsWith("f.yaml: line 1: nested more than 64 deep", Refused("a: " + deep.Replace('[', '{')), StringComparison.Ordinal);

        // Nine of nine of nine ...
        var laughs = "b0: &b0 [x]\n" + string.Concat(Enumerable.Range(1, 12).Select(level => $"b{level}: &b{level} [{string.Join(", ", Enumerable.Repeat($"*b{level - 1}", 9))}]\n"));
        Assert.Contains("more than 1000000 values, what aliases stand for included", Refused(laughs), StringComparison.Ordinal);
    }

    [Fact]
    public void Aliases_stand_for_values_and_huge_numbers_are_no_infinity()
    {
        var document = Manifests.ParseDocuments("a: &a {b: [1]}\nc: *a\nd: 1e999", "f.yaml").Single();
        Assert.Equal("""{"a":{"b":[1]},"c":{"b":[1]},"d":"1e999"}""", document.ToJsonString());
    }
}
