using System.Text.Json;
using Moebius.KubernetesEnvironment;

namespace Moebius.Bench.Inference;

/// <summary>llama.cpp, as Debian builds it, with code for the processor that it finds.</summary>
internal sealed class LlamaPeer
{
    private readonly string _run;

    private LlamaPeer(string folder)
    {
        _run = Path.Combine(folder, "run");
        Version = File.ReadAllText(Path.Combine(folder, "version")).Trim();
    }

    public string Version { get; }

    /// <summary>Fetches it on first use; build/peers/llama.sh says how.</summary>
    public static async Task<LlamaPeer> EnsureAsync() =>
        new((await RunAsync(Path.Combine(RepositoryFiles.Root, "build", "peers", "llama.sh"), [])).Trim().Split('\n')[^1]);

    /// <summary>The tokens per second of llama-bench: a prompt of <paramref name="prompt"/> tokens, and <paramref name="output"/> tokens one by one after nothing.</summary>
    public async Task<(double Prefill, double Decode)> BenchAsync(string gguf, int threads, int prompt, int output)
    {
        var lines = await LinesAsync("llama-bench", "-m", gguf, "-t", $"{threads}", "-p", $"{prompt}", "-n", $"{output}", "-r", "1", "-o", "jsonl");
        double Of(string field) => lines.Where(line => line.GetProperty(field).GetInt32() > 0).Select(line => line.GetProperty("avg_ts").GetDouble()).Single();
        return (Of("n_prompt"), Of("n_gen"));
    }

    /// <summary>Tokens per second, all sequences together, of llama-batched-bench for each number of sequences.</summary>
    public async Task<double[]> BatchedAsync(string gguf, int threads, int prompt, int output, int[] sequences)
    {
        var context = Math.Max(512, sequences.Max() * (prompt + output));
        var lines = await LinesAsync(
            "llama-batched-bench", "-m", gguf, "-t", $"{threads}", "-tb", $"{threads}", "-c", $"{context}", "-npp", $"{prompt}", "-ntg", $"{output}",
            "-npl", string.Join(',', sequences), "--output-format", "jsonl");
        return [.. sequences.Select(count => lines.Where(line => line.GetProperty("pl").GetInt32() == count).Select(line => line.GetProperty("speed_tg").GetDouble()).Single())];
    }

    /// <summary>Tokens a second of <c>llama-bench -p 0 -n TOKENS -r 1 -t 2 --no-warmup --load-mode mmap</c> within a memory limit, page cache dropped before.</summary>
    public async Task<double> LimitedAsync(string gguf, long limitBytes, int tokens)
    {
        MemoryLimit.DropPageCache();
        using var limit = new MemoryLimit(limitBytes);
        var output = await RunAsync("/bin/sh", [.. limit.Wrap(_run), "llama-bench", "-m", gguf, "-p", "0", "-n", $"{tokens}", "-r", "1", "-t", "2", "--no-warmup", "--load-mode", "mmap", "-o", "json"]);
        using var json = JsonDocument.Parse(output);
        return json.RootElement[0].GetProperty("avg_ts").GetDouble();
    }

    private async Task<List<JsonElement>> LinesAsync(params string[] arguments)
    {
        var output = await RunAsync(_run, arguments);
        var lines = output.Split('\n').Where(line => line.StartsWith('{')).Select(line => JsonDocument.Parse(line).RootElement).ToList();
        return lines.Count > 0 ? lines : throw new InvalidOperationException($"{arguments[0]} printed no results: {output}");
    }

    private static async Task<string> RunAsync(string program, string[] arguments) =>
        (await Command.RunAsync(program, arguments)).EnsureSuccess().StandardOutput;
}
