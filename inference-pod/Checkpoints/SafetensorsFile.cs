using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Storage;

namespace Moebius.Inference.Checkpoints;

/// <summary>One open safetensors file. Reads are positioned, from any thread.</summary>
internal sealed class SafetensorsFile : IDisposable
{
    private readonly StoredFile _file;

    private SafetensorsFile(StoredFile file, IReadOnlyList<TensorEntry> entries, byte[] header)
    {
        Path = file.Path;
        Header = header;
        _file = file;
        Entries = entries;
    }

    public string Path { get; }

    /// <summary>The JSON header's bytes, part of a model's identity.</summary>
    public byte[] Header { get; }

    /// <summary>All tensors, by offset.</summary>
    public IReadOnlyList<TensorEntry> Entries { get; }

    /// <summary>How its bytes are read, in words for the log.</summary>
    public string Access => _file.Access;

    /// <summary>Opens a file and checks its header.</summary>
    /// <param name="path">The file.</param>
    /// <param name="tier">How its bytes are read.</param>
    public static SafetensorsFile Open(string path, SlowTier tier = SlowTier.DirectIO)
    {
        var file = StoredFile.Open(path, tier);
        try
        {
            var prefix = new byte[Math.Min(SafetensorsHeader.PrefixBytes, file.Length)];
            file.Read(0, prefix, "header length");
            var header = new byte[SafetensorsHeader.ReadLength(path, prefix, file.Length)];
            file.Read(SafetensorsHeader.PrefixBytes, header, "header");
            return new SafetensorsFile(file, SafetensorsHeader.Parse(path, header, file.Length), header);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Reads bytes [start, start + destination) of a tensor.</summary>
    public void Read(TensorEntry entry, long start, Span<byte> destination)
    {
        if (start < 0 || start + destination.Length > entry.Length)
            throw new ArgumentOutOfRangeException(nameof(start), start, $"tensor {entry.Name} has {entry.Length} bytes");
        _file.Read(entry.Offset + start, destination, entry.Name);
    }

    public void Dispose() => _file.Dispose();
}
