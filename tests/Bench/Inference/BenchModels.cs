using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Models;

namespace Moebius.Bench.Inference;

/// <summary>Models that benchmarks run, with their experts packed, in the cache folder.</summary>
internal static class BenchModels
{
    /// <summary>The demonstration model.</summary>
    public static string Demonstration()
    {
        var source = Path.Combine(RepositoryFiles.Root, "samples", "models", "austen-moe");
        var directory = Path.Combine(BenchCache.Models, "austen-moe");
        Directory.CreateDirectory(directory);
        foreach (var file in Directory.GetFiles(source))
            File.Copy(file, Path.Combine(directory, Path.GetFileName(file)), overwrite: true);
        return Packed(directory);
    }

    /// <summary>The random model of 2.5 GB.</summary>
    public static string Large() => Packed(LargeModel.Ensure());

    private static string Packed(string directory)
    {
        var packs = Directory.GetFiles(directory, "experts-bf16.moebius");
        if (packs.Length == 0)
            ModelPacker.Pack(directory, null, ExpertQuantization.None, null, CancellationToken.None);
        return directory;
    }
}
