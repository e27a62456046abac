using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Models;

namespace Moebius.Inference.Tests;

/// <summary>The miniature models beside the tests.</summary>
internal static class TestModels
{
    public static string Data { get; } = Path.Combine(AppContext.BaseDirectory, "data");

    public static string Golden(string family) => Path.Combine(Data, "golden", family);

    /// <summary>The demonstration model with its weights; null where the sources are not above the tests.</summary>
    public static string? Demonstration()
    {
        for (var at = new DirectoryInfo(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            var candidate = Path.Combine(at.FullName, "samples", "models", "austen-moe");
            if (File.Exists(Path.Combine(candidate, "config.json")))
                return candidate;
        }
        return null;
    }

    public static TheoryData<string> All()
    {
        var data = new TheoryData<string>();
        foreach (var group in new[] { "golden", "variants", "quantized" })
        {
            foreach (var directory in Directory.GetDirectories(Path.Combine(Data, group)).Order(StringComparer.Ordinal))
                data.Add(Path.Combine(group, Path.GetFileName(directory)));
        }
        return data;
    }

    public static ICausalModel Load(string directory, long? budget = null, int threads = 1, WeightStorage weights = WeightStorage.Stored, ExpertQuantization quantization = ExpertQuantization.None) =>
        ModelLoader.Load(directory, new ModelLoadOptions { ExpertBudgetBytes = budget, Threads = threads, Weights = weights, Quantization = quantization });

    /// <summary>The smallest budget that a model accepts, taken from its refusal of a smaller one.</summary>
    public static long SmallestBudget(string directory, ExpertQuantization quantization = ExpertQuantization.None)
    {
        var refused = Assert.Throws<Crds.UserInputException>(() => Load(directory, 1, quantization: quantization).Dispose());
        return long.Parse(refused.Message[(refused.Message.LastIndexOf(' ') + 1)..], System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>A writable copy of a model in a folder that disappears with the returned object.</summary>
    public static TemporaryModel Copy(string directory) => new(directory);

    /// <summary>The logits after a prompt that is computed in chunks of some tokens, in a sequence of its own.</summary>
    public static float[] Prefill(ICausalModel model, int[] prompt, int chunk, int atOnce = 0)
    {
        using var kv = model.CreateSequence();
        float[] logits = [];
        for (var at = 0; at < prompt.Length; at += chunk)
        {
            var count = Math.Min(chunk, prompt.Length - at);
            logits = model.Forward([new SequenceChunk(kv, prompt.AsMemory(at, count), at + count == prompt.Length ? LogitsFor.Last : LogitsFor.None) { Prompt = atOnce }])[0];
        }
        return logits;
    }
}

internal sealed class TemporaryModel : IDisposable
{
    public TemporaryModel(string source)
    {
        Path = Directory.CreateTempSubdirectory("moebius-model-").FullName;
        foreach (var file in Directory.GetFiles(source))
            File.Copy(file, System.IO.Path.Combine(Path, System.IO.Path.GetFileName(file)));
    }

    public string Path { get; }

    public string File_(string name) => System.IO.Path.Combine(Path, name);

    public void EditConfig(Action<System.Text.Json.Nodes.JsonObject> edit)
    {
        var path = File_("config.json");
        var config = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        edit(config);
        File.Delete(path);
        File.WriteAllText(path, config.ToJsonString());
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
