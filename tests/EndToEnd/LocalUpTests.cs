using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Moebius.EndToEnd;

/// <summary>The main job on this machine: manifests in, a real model's answer out, nothing left behind.</summary>
[Trait("Category", "EndToEnd")]
public sealed partial class LocalUpTests
{
    private const string Prompt = "It was the custom of the family to sit together in the evening, and Mr. Bennet put down his book and said to his wife,";

    [Fact]
    public async Task The_quickstart_answers_reuses_its_prefix_for_the_same_tenant_only_and_leaves_nothing()
    {
        await using var run = new LocalRun();
        var (code, output, error) = await MoebiusProcess.RunAsync(run.Up(run.Manifest(), "--chat", Prompt, "--detach"));
        Assert.True(code == 0, output + error);

        var rows = Row().Matches(output).ToDictionary(row => row.Groups[1].Value.Trim(), row => (Prompt: int.Parse(row.Groups[2].Value, CultureInfo.InvariantCulture), Cached: int.Parse(row.Groups[3].Value, CultureInfo.InvariantCulture), Same: row.Groups[4].Value));
        Assert.Equal(0, rows["alice"].Cached);
        // All full blocks but what the last token needs.
        Assert.InRange(rows["alice again"].Cached, rows["alice"].Prompt - 17, rows["alice"].Prompt - 1);
        Assert.Equal(0, rows["bob, same words"].Cached);
        Assert.All(rows.Values, row => Assert.Equal("yes", row.Same));
        Assert.Matches(@"Experts: \d+\.\d% of \d+ uses", output);

        Assert.Contains($"Stop it with 'moebius local down --name {run.Name}'.", output, StringComparison.Ordinal);
        Assert.Equal(0, (await MoebiusProcess.RunAsync("local", "status", "--name", run.Name)).Code);
        Assert.Equal(0, (await MoebiusProcess.RunAsync("local", "down", "--name", run.Name)).Code);
        await run.NothingIsLeftAsync();
    }

    [Fact]
    public async Task Greedy_output_is_the_same_without_the_cache_and_with_all_experts_resident()
    {
        var answers = new List<string>();
        foreach (var changes in new (string, string)[][]
        {
            [],
            [("  kvCache:\n    memory: 64Mi\n    policyRef:\n      name: quickstart\n", "  kvCache:\n    enabled: false\n")],
            [("  experts:\n    fastMemory: 6Mi\n", "")],
        })
        {
            await using var run = new LocalRun();
            var (code, output, error) = await MoebiusProcess.RunAsync(run.Up(run.Manifest(changes), "--detach"));
            Assert.True(code == 0, output + error);
            using var http = new HttpClient { BaseAddress = new Uri(Endpoint().Match(output).Groups[1].Value) };
            foreach (var _ in Enumerable.Range(0, 2))
            {
                using var response = await http.PostAsJsonAsync("/v1/completions", new { model = "austen", prompt = Prompt, max_tokens = 40, temperature = 0 });
                var body = await response.Content.ReadFromJsonAsync<JsonObject>();
                answers.Add(body!["choices"]![0]!["text"]!.GetValue<string>());
            }
        }

        Assert.Equal(6, answers.Count);
        Assert.Single(answers.Distinct());
        Assert.NotEmpty(answers[0]);
    }

    [Theory]
    [InlineData(300)]
    [InlineData(1500)]
    [InlineData(4000)]
    public async Task Interrupting_at_any_time_leaves_no_process_and_no_file(int milliseconds)
    {
        await using var run = new LocalRun();
        using var up = MoebiusProcess.Start(run.Up(run.Manifest()));
        await Task.Delay(milliseconds);
        up.Interrupt();
        var (code, _, _) = await up.EndAsync(TimeSpan.FromSeconds(60));
        Assert.NotEqual(0, code);
        await run.NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_killed_supervisor_takes_its_processes_with_it_and_the_next_start_cleans_up()
    {
        await using var run = new LocalRun();
        var manifest = run.Manifest();
        var (code, output, error) = await MoebiusProcess.RunAsync(run.Up(manifest, "--detach"));
        Assert.True(code == 0, output + error);

        var supervisor = Process.GetProcesses().Single(process => CommandLine(process.Id) is { } line && line.Contains("supervise", StringComparison.Ordinal) && line.Contains(run.Name, StringComparison.Ordinal));
        MoebiusProcess.Kill(supervisor.Id);
        await Eventually.TrueAsync(() => run.Processes().Count == 0);

        Assert.Equal(0, (await MoebiusProcess.RunAsync(run.Up(manifest, "--detach"))).Code);
        Assert.Equal(0, (await MoebiusProcess.RunAsync("local", "down", "--name", run.Name)).Code);
        await run.NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_container_that_cannot_start_again_is_named_by_the_command_that_waits()
    {
        await using var run = new LocalRun();
        var model = run.CopyModel();
        using var up = MoebiusProcess.Start(run.Up(run.Manifest(("/var/lib/moebius/models/austen-moe", model))));
        await Eventually.TrueAsync(async () => (await MoebiusProcess.RunAsync("local", "status", "--name", run.Name)).Code == 0);
        File.Delete(Path.Combine(model, "config.json"));
        MoebiusProcess.Kill(Process.GetProcesses().Single(process => CommandLine(process.Id) is { } line && line.Contains("\0serve\0", StringComparison.Ordinal) && line.Contains(model, StringComparison.Ordinal)).Id);
        var (code, _, error) = await up.EndAsync(TimeSpan.FromMinutes(2));
        Assert.Equal(2, code);
        Assert.StartsWith($"moebius: austen/inference: {model}", Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        await run.NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_dry_run_prints_the_objects_and_starts_nothing()
    {
        await using var run = new LocalRun();
        var (code, output, error) = await MoebiusProcess.RunAsync("local", "up", "-f", run.Manifest(), "--dry-run=client", "-o", "yaml");
        Assert.True(code == 0, output + error);
        foreach (var kind in new[] { "Deployment", "DaemonSet", "Service", "ConfigMap", "ServiceAccount", "PodDisruptionBudget" })
            Assert.Contains($"kind: {kind}\n", output, StringComparison.Ordinal);
        await run.NothingIsLeftAsync();
    }

    [Theory]
    [InlineData("fastMemory: 6Mi", "fastMemry: 12Mi", "spec.experts.fastMemry", "fastMemory")]
    [InlineData("fastMemory: 6Mi", "fastMemory: 4Ki", "experts.fastMemory", "4 KiB", "240 KiB")]
    [InlineData("models/austen-moe", "models/nowhere", "nowhere", "does not exist")]
    [InlineData("    policyRef:\n      name: quickstart", "    policyRef:\n      name: missing", "policyRef", "missing")]
    [InlineData("maxConcurrentSequences: 8", "maxConcurrentSequences: 0", "spec.serving.maxConcurrentSequences", "1")]
    public async Task Bad_input_is_one_line_and_exit_code_2(string old, string changed, params string[] named)
    {
        await using var run = new LocalRun();
        var (code, _, error) = await MoebiusProcess.RunAsync(run.Up(run.Manifest((old, changed)), "--detach"));
        Assert.Equal(2, code);
        var line = Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.All(named, part => Assert.Contains(part, line, StringComparison.Ordinal));
        await run.NothingIsLeftAsync();
    }

    [Theory]
    [InlineData("truncated")]
    [InlineData("garbage header")]
    [InlineData("unknown architecture")]
    public async Task A_damaged_model_is_named_and_nothing_is_left(string damage)
    {
        await using var run = new LocalRun();
        var model = run.CopyModel();
        var weights = Path.Combine(model, "model.safetensors");
        var config = Path.Combine(model, "config.json");
        switch (damage)
        {
            case "truncated":
                using (var file = File.OpenWrite(weights))
                    file.SetLength(100_000);
                break;
            case "garbage header":
                using (var file = File.OpenWrite(weights))
                    file.Write([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]);
                break;
            default:
                await File.WriteAllTextAsync(config, (await File.ReadAllTextAsync(config)).Replace("qwen3_moe", "parrot_moe", StringComparison.Ordinal));
                break;
        }

        var (code, _, error) = await MoebiusProcess.RunAsync(run.Up(run.Manifest(("/var/lib/moebius/models/austen-moe", model)), "--detach"));
        Assert.Equal(2, code);
        var line = Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Contains(damage == "unknown architecture" ? "parrot_moe" : "model.safetensors", line, StringComparison.Ordinal);
        await run.NothingIsLeftAsync();
    }

    private static string? CommandLine(int process)
    {
        try
        {
            return File.ReadAllText($"/proc/{process}/cmdline");
        }
        catch (IOException)
        {
            return null;
        }
    }

    [GeneratedRegex(@"^ *(alice|alice again|bob, same words) +[│|]? *\d+ ms *[│|]? *\d+ *[│|]? *(\d+) *[│|]? *(\d+) *[│|]? *(yes|NO)", RegexOptions.Multiline)]
    private static partial Regex Row();

    [GeneratedRegex(@"austen/inference http: (http://\S+)")]
    private static partial Regex Endpoint();
}
