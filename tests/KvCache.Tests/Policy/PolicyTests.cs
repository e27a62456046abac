using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.KvCache.Commands;
using Moebius.KvCache.Detection;
using Moebius.KvCache.Index;
using Moebius.KvCache.Policy;
using Moebius.KvCache.Service;
using Moebius.KvCache.Tests.Service;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Policy;

public sealed class PolicyTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvpolicy-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("mode: Everyone", "spec.mode")]
    [InlineData("colour: red", "spec.colour: unknown field")]
    [InlineData("promotion: {batchSize: 0}", "spec.promotion.batchSize: 0 is out of range: use a whole number from 1 to 65536")]
    [InlineData("promotion: {maxDelay: soon}", "spec.promotion.maxDelay: 'soon' is not a duration")]
    [InlineData("monitor: {window: 0s}", "spec.monitor.window: '0s' must be longer")]
    [InlineData("classifier: {type: Onnx, onnx: {claimName: c, path: ../x}}", "spec.classifier.onnx.path: '../x': path must be relative and stay inside the volume")]
    [InlineData("classifier: {publicBelowPercent: 80}", "spec.classifier: publicBelowPercent must not exceed privateAbovePercent")]
    [InlineData("contextCheck: {endpoint: {url: 'http://x/v1', model: m}}", "spec: contextCheck judges what the classifier leaves open")]
    [InlineData("publicPrefixes: [{name: a}]", "spec.publicPrefixes[0]: exactly one")]
    [InlineData("publicPrefixes: [{name: a, text: x}, {name: a, text: y}]", "spec.publicPrefixes[1].name: 'a' stands at spec.publicPrefixes[0] already")]
    [InlineData("rules: {custom: [{name: x, pattern: '(a)\\1'}]}", "spec.rules.custom[0].pattern")]
    [InlineData("retention: {maxTenantPercent: 101}", "spec.retention.maxTenantPercent: 101 is out of range")]
    public void A_field_that_cannot_be_honoured_is_refused_by_name(string spec, string says)
    {
        var error = Assert.Throws<UserInputException>(() => PolicyCompiler.Parse(Manifest(spec), "p.yaml"));
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
        Assert.StartsWith("p.yaml: ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_lies_on_a_threshold_is_open()
    {
        var policy = PolicyCompiler.Parse(Manifest("classifier: {type: BuiltIn, publicBelowPercent: 30, privateAbovePercent: 70}"), "p.yaml");
        Assert.Equal(
            [PassageVerdict.Public, PassageVerdict.Open, PassageVerdict.Open, PassageVerdict.Private],
            new[] { Math.BitDecrement(0.3), 0.3, 0.7, Math.BitIncrement(0.7) }.Select(policy.Judge));
    }

    [Fact]
    public void What_another_version_of_the_program_cleared_is_not_trusted()
    {
        var spec = new KVPrivacyPolicySpec { Classifier = new ClassifierSpec { Type = ClassifierType.BuiltIn } };
        var policy = PolicyCompiler.Compile(spec, 1, "test");
        Assert.Equal(PolicyCompiler.Clearance(spec, PolicyCompiler.Program), policy.Clearance);
        Assert.False(PublicRules.Holds(policy, new PublicReason(null, IsCleared: true, PolicyCompiler.Clearance(spec, "an older program"))));
        Assert.Contains(typeof(KvCache.Detection.Detector).Module.ModuleVersionId.ToString(), PolicyCompiler.Program, StringComparison.Ordinal);
        Assert.True(SegmentRecord.CanHold(new PublicReason(null, IsCleared: true, policy.Clearance)));
    }

    [Theory]
    [InlineData("classifier: {type: BuiltIn}", true)]
    [InlineData("classifier: {type: Disabled}", false)]
    public void What_a_tier_cleared_stays_public_only_while_there_is_one_and_under_the_same_rules(string spec, bool holds)
    {
        var policy = PolicyCompiler.Parse(Manifest(spec), "p.yaml");
        Assert.Equal(holds, PublicRules.Holds(policy, new PublicReason(null, IsCleared: true, policy.Clearance)));
        Assert.False(PublicRules.Holds(policy, new PublicReason(null, IsCleared: true, new string('0', 64))));
        Assert.False(PublicRules.Holds(policy, new PublicReason(null, IsCleared: true)));
    }

    [Fact]
    public async Task A_new_file_is_taken_up_and_a_bad_one_leaves_the_old_in_force()
    {
        // As a mounted ConfigMap changes: a link to a folder is swapped.
        var path = Path.Combine(_folder, "policy.yaml");
        Swap("one", Manifest("mode: Share", 1));
        File.CreateSymbolicLink(path, Path.Combine(_folder, "..data", "policy.yaml"));
        var metrics = new CacheMetrics();
        await using var source = new PolicySource(path, metrics, NullLogger.Instance);
        Assert.Equal((SharingMode.Share, 1L), (source.Current.Mode, source.Current.Generation));

        Swap("two", Manifest("mode: Isolate", 2));
        source.Poll();
        Assert.Equal((SharingMode.Isolate, 2L, ""), (source.Current.Mode, source.Current.Generation, source.Error));

        var old = source.Current;
        Swap("three", Manifest("mode: Isolate\n  colour: red", 3));
        source.Poll();
        Assert.Same(old, source.Current);
        Assert.Contains("spec.colour", source.Error, StringComparison.Ordinal);
        Assert.Equal((1, 1, 3), (metrics.PolicyInvalid.Value, metrics.PolicyErrors.Value, metrics.PolicyRefusedGeneration.Value));

        // One that is bad for the same reason is another one.
        Swap("three-again", Manifest("mode: Isolate\n  colour: red", 4));
        source.Poll();
        Assert.Equal((1, 2, 4), (metrics.PolicyInvalid.Value, metrics.PolicyErrors.Value, metrics.PolicyRefusedGeneration.Value));

        File.Delete(Path.Combine(_folder, "..data"));
        source.Poll();
        Assert.Same(old, source.Current);
        Assert.Equal((1, 0), (metrics.PolicyInvalid.Value, metrics.PolicyRefusedGeneration.Value));
        Swap("no-policy", "[: nothing that can be read");
        source.Poll();
        Assert.Equal((1, 0), (metrics.PolicyInvalid.Value, metrics.PolicyRefusedGeneration.Value));
        Swap("four", Manifest("mode: Isolate", 2));
        source.Poll();
        Assert.Equal((2L, "", 0d, 0d), (source.Current.Generation, source.Error, metrics.PolicyInvalid.Value, metrics.PolicyRefusedGeneration.Value));
    }

    [Fact]
    public async Task A_refused_file_that_could_not_be_read_and_comes_back_is_refused_at_once_for_what_it_says()
    {
        var path = Write("policy.yaml", Manifest("mode: Share", 1));
        await using var source = new PolicySource(path, new CacheMetrics(), NullLogger.Instance);
        Write("policy.yaml", Manifest("colour: red", 2));
        source.Poll();
        var refusal = source.Error;
        File.Delete(path);
        source.Poll();
        Assert.NotEqual(refusal, source.Error);
        Write("policy.yaml", Manifest("colour: red", 2));
        source.Poll();
        Assert.Equal(refusal, source.Error);
    }

    [Fact]
    public async Task Readers_see_one_whole_policy_or_the_other()
    {
        var path = Path.Combine(_folder, "policy.yaml");
        await File.WriteAllTextAsync(path, Manifest("mode: Share", 1));
        await using var source = new PolicySource(path, new CacheMetrics(), NullLogger.Instance);
        using var stop = new CancellationTokenSource();
        var reader = Task.Run(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                var policy = source.Current;
                Assert.Equal(policy.Generation % 2 == 1 ? SharingMode.Share : SharingMode.Isolate, policy.Mode);
            }
        });
        for (var generation = 2; generation < 40; generation++)
        {
            await File.WriteAllTextAsync(path, Manifest(generation % 2 == 1 ? "mode: Share" : "mode: Isolate", generation));
            source.Poll();
        }

        await stop.CancelAsync();
        await reader;
        Assert.Equal(39, source.Current.Generation);
    }

    [Fact]
    public async Task A_text_that_is_no_longer_declared_is_private_again()
    {
        const string declared = "publicPrefixes: [{name: shop, text: 'You sell shoes. '}]\n  promotion: {maxDelay: 1ms}";
        await using var server = await TestServer.StartAsync(policy: Manifest(declared, 1));
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", "You sell shoes. How much?");
        await server.ClassifiedAsync();
        Assert.Equal(4, await client.HitsAsync("bob", "You sell shoes. How much?"));

        await File.WriteAllTextAsync(server.Options.PolicyPath!, Manifest("mode: SafeKV", 2));
        server.Server.Policy.Poll();
        Assert.Equal(0, await client.HitsAsync("bob", "You sell shoes. How much?"));
        Assert.Equal(6, await client.HitsAsync("alice", "You sell shoes. How much?"));

        await File.WriteAllTextAsync(server.Options.PolicyPath!, Manifest("nonsense: 1", 3));
        server.Server.Policy.Poll();
        var stats = await client.Api.StatsAsync(new Moebius.Kvcache.V1.StatsRequest());
        Assert.Equal(2, stats.PolicyGeneration);
        Assert.Contains("spec.nonsense: unknown field", stats.PolicyError, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Share", 4, 4)]
    [InlineData("Isolate", 4, 0)]
    [InlineData("SafeKV", 4, 0)]
    public async Task The_mode_decides_who_finds_a_commit(string mode, int own, int other)
    {
        await using var server = await TestServer.StartAsync(policy: Manifest($"mode: {mode}", 1));
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", "sixteen letters!");
        await server.ClassifiedAsync();
        Assert.Equal((own, other), (await client.HitsAsync("alice", "sixteen letters!"), await client.HitsAsync("bob", "sixteen letters!")));
    }

    [Fact]
    public async Task The_test_command_reports_every_file_in_order()
    {
        var secret = Write("secret.txt", "mail jane@example.com");
        var prose = Write("prose.txt", "It is a truth universally acknowledged.");
        var declared = Write("declared.txt", "You sell shoes.");
        var policy = Write("policy.yaml", Manifest("publicPrefixes: [{name: shop, text: 'You sell shoes.'}]"));
        using var output = new StringWriter();
        Assert.Equal(0, await PolicyTestCommand.RunAsync(policy, "/", json: true, [secret, prose, declared], output, CancellationToken.None));

        var reports = JsonDocument.Parse(output.ToString()).RootElement.EnumerateArray().ToArray();
        Assert.Equal(["private", "uncertain", "public"], reports.Select(report => report.GetProperty("verdict").GetString()));
        Assert.Equal(secret, reports[0].GetProperty("file").GetString());
        var finding = Assert.Single(reports[0].GetProperty("findings").EnumerateArray());
        Assert.Equal((1, "Email", 5, 21), (finding.GetProperty("tier").GetInt32(), finding.GetProperty("kind").GetString(), finding.GetProperty("start").GetInt32(), finding.GetProperty("end").GetInt32()));
        Assert.DoesNotContain("jane", output.ToString(), StringComparison.Ordinal);

        using var lines = new StringWriter();
        Assert.Equal(0, await PolicyTestCommand.RunAsync(policy, "/", json: false, [secret, prose, declared], lines, CancellationToken.None));
        Assert.Equal(
            [$"{secret}: private", "  tier 1  Email  5-21", $"{prose}: uncertain (nothing was found and nothing clears it: the cache keeps it private)", $"{declared}: public"],
            lines.ToString().TrimEnd().Split('\n'));
        await Assert.ThrowsAsync<UserInputException>(() => PolicyTestCommand.RunAsync(null, "/", true, [Path.Combine(_folder, "missing")], output, CancellationToken.None));
    }

    [Fact]
    public async Task With_the_classifier_a_text_is_private_public_or_uncertain()
    {
        var files = new[]
        {
            Write("name.txt", "Please forward the documents to Marianne Oldfield before Friday."),
            Write("harmless.txt", "You are a helpful assistant. Answer in one sentence."),
            Write("unknown.txt", "Zxqv wbrt kplmn vrtzk pqwrt mnbvk."),
        };
        var policy = Write("policy.yaml", Manifest("classifier: {type: BuiltIn}"));
        using var output = new StringWriter();
        Assert.Equal(0, await PolicyTestCommand.RunAsync(policy, "/", json: true, files, output, CancellationToken.None));
        var reports = JsonDocument.Parse(output.ToString()).RootElement.EnumerateArray().ToArray();
        Assert.Equal(["private", "public", "uncertain"], reports.Select(report => report.GetProperty("verdict").GetString()));
        var finding = reports[0].GetProperty("findings").EnumerateArray().Single(finding => finding.GetProperty("tier").GetInt32() == 2);
        Assert.Equal("Name", finding.GetProperty("kind").GetString());
        Assert.Equal("Marianne Oldfield", "Please forward the documents to Marianne Oldfield before Friday."[finding.GetProperty("start").GetInt32()..finding.GetProperty("end").GetInt32()]);
    }

    [Fact]
    public async Task A_classifier_that_cannot_be_loaded_leaves_the_old_policy_in_force()
    {
        var path = Write("policy.yaml", Manifest("mode: Share", 1));
        var tiers = new TierFactory(_folder, null, null, TimeProvider.System);
        await using var source = new PolicySource(path, new CacheMetrics(), NullLogger.Instance, tiers);
        Write("policy.yaml", Manifest("classifier: {type: Onnx, onnx: {claimName: c, path: models}}", 2));
        source.Poll();
        Assert.Equal(1, source.Current.Generation);
        Assert.Contains("spec.classifier.onnx: '" + Path.Combine(_folder, "models", "model.onnx") + "' does not exist", source.Error, StringComparison.Ordinal);
        // The manifest is the same and what it names comes later: it is looked at again.
        Directory.CreateDirectory(Path.Combine(_folder, "models"));
        Write(Path.Combine("models", "model.onnx"), "no model");
        for (var poll = 0; poll < PolicySource.RetryEvery; poll++)
            source.Poll();
        Assert.NotEmpty(source.Error);
        Assert.DoesNotContain("model.onnx' does not exist", source.Error, StringComparison.Ordinal);
        // The one in force comes back.
        Write("policy.yaml", Manifest("mode: Share", 1));
        source.Poll();
        Assert.Equal("", source.Error);
        Write("policy.yaml", Manifest("classifier: {type: BuiltIn}\n  contextCheck: {endpoint: {url: 'http://x/v1', model: m, apiKeySecretRef: {name: s, key: k}}}", 3));
        source.Poll();
        Assert.Contains("spec.contextCheck.endpoint.apiKeySecretRef: MOEBIUS_CONTEXT_CHECK_KEY is not set", source.Error, StringComparison.Ordinal);
    }

    private static string Manifest(string spec, long generation = 1) =>
        $"apiVersion: moebius.dev/v1alpha1\nkind: KVPrivacyPolicy\nmetadata:\n  name: test\n  generation: {generation}\nspec:\n  {spec}\n";

    private string Write(string name, string text)
    {
        File.WriteAllText(Path.Combine(_folder, name), text);
        return Path.Combine(_folder, name);
    }

    private void Swap(string version, string manifest)
    {
        Directory.CreateDirectory(Path.Combine(_folder, version));
        File.WriteAllText(Path.Combine(_folder, version, "policy.yaml"), manifest);
        File.Delete(Path.Combine(_folder, "..data"));
        File.CreateSymbolicLink(Path.Combine(_folder, "..data"), version);
    }
}
