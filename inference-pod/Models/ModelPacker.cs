using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Checkpoints;
using Moebius.Inference.Experts;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Models;

/// <summary>What was packed; the property names are those of the JSON output.</summary>
/// <param name="Path">The file.</param>
/// <param name="Experts">Experts in it.</param>
/// <param name="ExpertBytes">Bytes of one.</param>
/// <param name="Bytes">Bytes of the file.</param>
/// <param name="Type">The type in which weights are resident.</param>
internal sealed record PackResult(string Path, int Experts, long ExpertBytes, long Bytes, string Type);

/// <summary>Makes a model's packed expert file from its safetensors.</summary>
internal static class ModelPacker
{
    /// <param name="directory">The model.</param>
    /// <param name="output">Directory for the file; null for the model's.</param>
    /// <param name="quantization">How experts are stored; the file is for loads with the same.</param>
    /// <param name="progress">Told how many experts are written, of how many.</param>
    /// <param name="stop">Ends early; nothing is left behind.</param>
    /// <exception cref="UserInputException">The model is not supported or has no experts, or the file cannot be written.</exception>
    public static PackResult Pack(string directory, string? output, ExpertQuantization quantization, Action<int, int>? progress, CancellationToken stop)
    {
        var spec = Architectures.Describe(ModelConfig.Read(directory));
        if (output is not null && !Directory.Exists(output))
            throw new UserInputException($"--out: '{output}' {(File.Exists(output) ? "is not a directory" : "does not exist: make the directory first")}");
        using var checkpoint = Checkpoint.Open(directory, fp8: spec.Fp8);
        var catalog = ModelLoader.Catalog(spec, checkpoint, WeightStorage.Stored, quantization);
        if (catalog.Count == 0)
            throw new UserInputException($"{directory}: the model has no routed experts to pack");
        return Write(Path.Combine(output ?? directory, ExpertPack.FileName(catalog.Layout)), catalog, checkpoint, progress, stop);
    }

    /// <summary>Packs the experts of a checkpoint that is open; see <see cref="Pack"/>.</summary>
    public static PackResult Write(string path, ExpertCatalog catalog, Checkpoint checkpoint, Action<int, int>? progress, CancellationToken stop)
    {
        using var source = new CheckpointExperts(catalog, checkpoint);
        PackWriter.Write(path, catalog, source, new WeightFingerprint(checkpoint).Text, done => progress?.Invoke(done, catalog.Count), stop);
        return new PackResult(path, catalog.Count, catalog.Layout.Bytes, new FileInfo(path).Length, catalog.Layout.Format.Name());
    }
}
