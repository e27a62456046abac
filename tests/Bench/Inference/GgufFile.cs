using System.Text;

namespace Moebius.Bench.Inference;

/// <summary>Writes GGUF, version 3: key-value pairs, tensor descriptions, then the tensors at multiples of 32 bytes.</summary>
internal sealed class GgufFile
{
    private const int Alignment = 32;

    private readonly List<(string Key, uint Type, Action<BinaryWriter> Value)> _values = [];
    private readonly List<(string Name, long[] Sizes, GgufType Type, Action<Stream> Data)> _tensors = [];

    public void Set(string key, uint value) => _values.Add((key, 4, w => w.Write(value)));

    public void Set(string key, float value) => _values.Add((key, 6, w => w.Write(value)));

    public void Set(string key, string value) => _values.Add((key, 8, w => Text(w, value)));

    /// <param name="name">Name.</param>
    /// <param name="sizes">As in safetensors, the slowest first; GGUF has them the other way round.</param>
    /// <param name="type">Element type.</param>
    /// <param name="data">Writes exactly the tensor's bytes.</param>
    public void Add(string name, long[] sizes, GgufType type, Action<Stream> data) => _tensors.Add((name, sizes, type, data));

    public void Write(string path)
    {
        using var file = File.Create(path);
        using var writer = new BinaryWriter(file);
        writer.Write("GGUF"u8);
        writer.Write(3u);
        writer.Write((ulong)_tensors.Count);
        writer.Write((ulong)_values.Count);
        foreach (var (key, type, value) in _values)
        {
            Text(writer, key);
            writer.Write(type);
            value(writer);
        }
        long offset = 0;
        foreach (var (name, sizes, type, _) in _tensors)
        {
            Text(writer, name);
            writer.Write((uint)sizes.Length);
            foreach (var size in sizes.Reverse())
                writer.Write((ulong)size);
            writer.Write((uint)type);
            writer.Write((ulong)offset);
            offset = Aligned(offset + Bytes(sizes, type));
        }
        writer.Flush();
        foreach (var (name, sizes, type, data) in _tensors)
        {
            file.SetLength(Aligned(file.Position));
            var begin = file.Seek(0, SeekOrigin.End);
            data(file);
            if (file.Position - begin != Bytes(sizes, type))
                throw new InvalidOperationException($"{name}: {file.Position - begin} bytes were written, not {Bytes(sizes, type)}");
        }
    }

    private static long Aligned(long offset) => (offset + Alignment - 1) / Alignment * Alignment;

    private static long Bytes(long[] sizes, GgufType type) => sizes.Aggregate(type == GgufType.F32 ? 4L : 2L, (product, size) => product * size);

    private static void Text(BinaryWriter writer, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }
}

/// <summary>Element types, with the numbers of the format.</summary>
internal enum GgufType
{
    F32 = 0,
    BF16 = 30,
}
