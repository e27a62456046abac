using System.Diagnostics;
using System.Text.Json;

namespace Moebius.Bench.Inference;

/// <summary>llama.cpp on the same weights, where build/peers/llama.sh has fetched it and the GGUF is written.</summary>
/// <param name="folder">Where it is unpacked.</param>
/// <param name="gguf">The weights.</param>
internal sealed class LlamaPeer(string folder, string gguf)
{
    public static LlamaPeer? TryFind(string model)
    {
        string folder = Path.Combine(BenchCache.Root, "peers", "llama-1"), gguf = Path.Combine(model, "model.gguf");
        return File.Exists(Path.Combine(folder, "run")) && File.Exists(gguf) ? new LlamaPeer(folder, gguf) : null;
    }

    /// <summary>Tokens a second of <c>llama-bench -p 0 -n TOKENS -r 1 -t 2 -mmp 1</c> within a memory limit, page cache dropped before.</summary>
    public async Task<double> DecodeAsync(long limitBytes, int tokens)
    {
        MemoryLimit.DropPageCache();
        using var limit = new MemoryLimit(limitBytes);
        var start = new ProcessStartInfo("/bin/sh") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in (string[])[.. limit.Wrap(Path.Combine(folder, "run")), "llama-bench", "-m", gguf, "-p", "0", "-n", $"{tokens}", "-r", "1", "-t", "2", "-mmp", "1", "-o", "json"])
            start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"llama-bench failed: {await errors}");
        using var json = JsonDocument.Parse(output);
        return json.RootElement[0].GetProperty("avg_ts").GetDouble();
    }
}
