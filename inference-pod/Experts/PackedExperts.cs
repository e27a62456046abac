using System.IO.Hashing;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Checkpoints;
using Moebius.Inference.Kernels;
using Moebius.Inference.Storage;

namespace Moebius.Inference.Experts;

/// <summary>
/// Experts from a packed file: one is one read, straight into its buffer, and checked. The check (XxHash3) costs less
/// than a tenth of a read from a fast drive, and a flipped bit is never computed with.
/// </summary>
internal sealed class PackedExperts : IExpertSource
{
    private readonly StoredFile _file;
    private readonly ExpertPack _pack;
    private readonly int[] _firstOf;

    private PackedExperts(StoredFile file, ExpertPack pack)
    {
        (_file, _pack) = (file, pack);
        _firstOf = new int[pack.Description.Layers.Count];
        for (var layer = 1; layer < _firstOf.Length; layer++)
            _firstOf[layer] = _firstOf[layer - 1] + pack.Description.Layers[layer - 1];
    }

    public string Description => $"pack {_file.Path}, read with {_file.Access}";

    /// <summary>Opens a pack for a model.</summary>
    /// <param name="path">The file.</param>
    /// <param name="catalog">The experts that it must hold.</param>
    /// <param name="fingerprint">Of the weights that it must have been made from.</param>
    /// <param name="tier">How it is read.</param>
    /// <exception cref="UserInputException">It is missing, stale or corrupt; the message names it.</exception>
    public static PackedExperts Open(string path, ExpertCatalog catalog, WeightFingerprint fingerprint, SlowTier tier)
    {
        var file = StoredFile.Open(path, tier);
        try
        {
            var pack = ExpertPack.Read(file);
            var expected = PackDescription.Of(catalog, fingerprint.Text);
            if (pack.Description.Layout != expected.Layout || pack.Description.ExpertBytes != expected.ExpertBytes)
                throw Otherwise(path, pack.Description.Layout, expected.Layout) ?? ExpertPack.Bad(file, $"holds experts as {pack.Description.Layout}; the model is loaded as {expected.Layout}");
            if (pack.Description.Source != expected.Source || !pack.Description.Layers.SequenceEqual(expected.Layers))
                throw ExpertPack.Bad(file, "was made from other weights than those in the model's directory");
            return new PackedExperts(file, pack);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The error for a pack that differs in the format of the weights alone, which <c>--quantize</c> decides; null for another.</summary>
    private static UserInputException? Otherwise(string path, string packed, string loaded)
    {
        var (has, wants) = (PackDescription.FormatOf(packed), PackDescription.FormatOf(loaded));
        string[] quantized = [WeightFormat.Int8.Name(), WeightFormat.Int4.Name()];
        if (has == wants || !quantized.Contains(has) && !quantized.Contains(wants))
            return null;
        var load = quantized.Contains(has) ? $"give --quantize {has}" : "leave out --quantize";
        var pack = quantized.Contains(wants) ? $"with 'moebius pack --quantize {wants}'" : "with 'moebius pack' without --quantize";
        return new($"{path}: holds experts as {packed}; the model is loaded as {loaded}: {load}, or make a pack {pack}");
    }

    public long Read(ExpertKey key, Span<byte> buffer)
    {
        var index = _firstOf[key.Layer] + key.Expert;
        _file.Read(_pack.Offset(index), buffer, $"expert {key.Expert} of MoE layer {key.Layer}");
        if (XxHash3.HashToUInt64(buffer) != _pack.Checksums[index])
            throw new IOException($"{_file.Path}: expert {key.Expert} of MoE layer {key.Layer} is corrupt: its checksum is wrong; make the file anew with 'moebius pack'");
        return buffer.Length;
    }

    public void Dispose() => _file.Dispose();
}
