using System.IO.Compression;
using System.Text;

namespace Moebius.KvCache.Detection.Classifier.BuiltIn;

/// <summary>What a word is taken for.</summary>
internal enum WordClass
{
    None,
    Name,
    Address,
    Statement,
}

/// <summary>
/// The weights of a linear model over hashed features, eight bits each, and the lexicon they were trained with. The
/// file is written by the Training project and checked in.
/// </summary>
internal sealed class ClassifierModel(Lexicon lexicon, float scale, sbyte[] weights)
{
    /// <summary>Classes of <see cref="WordClass"/>.</summary>
    public const int Classes = 4;

    private const uint Magic = 0x31_43_50_4D;

    public Lexicon Lexicon { get; } = lexicon;

    /// <summary>The model that ships with the program.</summary>
    public static ClassifierModel Load()
    {
        using var stream = typeof(ClassifierModel).Assembly.GetManifestResourceStream("privacy.model")
            ?? throw new InvalidOperationException("the program was built without its classifier");
        return Load(stream);
    }

    public static ClassifierModel Load(Stream stream)
    {
        using var unpacked = new BrotliStream(stream, CompressionMode.Decompress);
        using var reader = new BinaryReader(unpacked, Encoding.UTF8);
        if (reader.ReadUInt32() != Magic)
            throw new InvalidDataException("not a classifier of this version");
        var lexicon = new Lexicon(reader);
        var scale = reader.ReadSingle();
        var bytes = reader.ReadBytes(reader.ReadInt32());
        return new ClassifierModel(lexicon, scale, Array.ConvertAll(bytes, static value => (sbyte)value));
    }

    public void Save(Stream stream)
    {
        using var packed = new BrotliStream(stream, CompressionLevel.SmallestSize, leaveOpen: true);
        using var writer = new BinaryWriter(packed, Encoding.UTF8);
        writer.Write(Magic);
        Lexicon.Save(writer);
        writer.Write(scale);
        writer.Write(weights.Length);
        writer.Write(Array.ConvertAll(weights, static value => (byte)value));
    }

    /// <summary>The probability of each class, given a word's features.</summary>
    public void Score(ReadOnlySpan<ulong> features, Span<double> probabilities)
    {
        Span<int> sums = stackalloc int[Classes];
        sums.Clear();
        foreach (var feature in features)
        {
            var row = weights.AsSpan((int)(feature % (ulong)(weights.Length / Classes)) * Classes, Classes);
            for (var index = 0; index < Classes; index++)
                sums[index] += row[index];
        }

        var (most, total) = (Math.Max(Math.Max(sums[0], sums[1]), Math.Max(sums[2], sums[3])), 0d);
        for (var index = 0; index < Classes; index++)
            total += probabilities[index] = Math.Exp((sums[index] - most) * scale);
        for (var index = 0; index < Classes; index++)
            probabilities[index] /= total;
    }
}
