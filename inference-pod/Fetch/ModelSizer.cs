using Moebius.Crds.Sizing;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Checkpoints;
using Moebius.Inference.Experts;
using Moebius.Inference.Models;
using Moebius.Inference.Prediction;

namespace Moebius.Inference.Fetch;

/// <summary>Packs a model, and reads how much memory it takes from config.json and the headers of its weights; no weight is read.</summary>
internal static class ModelSizer
{
    /// <exception cref="Moebius.Crds.UserInputException">The directory is not a model that can be served.</exception>
    public static ModelFacts Measure(string directory, ExpertQuantization quantization)
    {
        var spec = Architectures.Describe(ModelConfig.Read(directory));
        using var checkpoint = Checkpoint.Open(directory, fp8: spec.Fp8);
        var catalog = ModelLoader.Catalog(spec, checkpoint, WeightStorage.Stored, quantization);
        var expertNames = ModelLoader.ExpertNames(spec).ToHashSet(StringComparer.Ordinal);
        var dense = checkpoint.Files.SelectMany(file => file.Entries)
            .Where(entry => !expertNames.Contains(entry.Name) && !WeightReader.IsLeftOut(entry.Name, spec) && Fp8Matrix.ScaledBy(checkpoint, entry.Name) is null)
            .Sum(InMemory);
        var empty = catalog.Count == 0;
        return new ModelFacts(
            dense,
            catalog.TotalBytes,
            empty ? 0 : catalog.MinimumBytes,
            SequenceKv.Bytes(Decoder.KvShape(spec), spec.Layers, 1),
            StepMemory.BytesPerToken(spec),
            empty ? null : PredictorMemory.Facts(ModelLoader.Routing(catalog, spec)));
    }

    /// <summary>Packs the experts of a model unless they are packed already.</summary>
    /// <exception cref="Moebius.Crds.UserInputException">The directory is not a model that can be served.</exception>
    public static void Pack(string directory, ExpertQuantization quantization, CancellationToken stop)
    {
        var spec = Architectures.Describe(ModelConfig.Read(directory));
        using var checkpoint = Checkpoint.Open(directory, fp8: spec.Fp8);
        var catalog = ModelLoader.Catalog(spec, checkpoint, WeightStorage.Stored, quantization);
        var path = ExpertPack.DefaultPath(directory, catalog.Layout);
        if (catalog.Count > 0 && !File.Exists(path))
            ModelPacker.Write(path, catalog, checkpoint, null, stop);
    }

    // bf16 matrices stay bf16, and those in fp8 become it, but for the one that latent attention splits; vectors, and everything else, become fp32.
    private static long InMemory(TensorEntry entry) =>
        entry.Elements * (entry.Type is TensorType.BF16 or TensorType.F8E4M3 && entry.Shape.Length > 1 && !entry.Name.EndsWith(LatentAttention.SplitWeight, StringComparison.Ordinal) ? 2L : 4L);
}
