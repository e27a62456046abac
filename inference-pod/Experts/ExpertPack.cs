using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text.Json;
using Moebius.Crds;
using Moebius.Inference.Kernels;
using Moebius.Inference.Storage;

namespace Moebius.Inference.Experts;

/// <summary>
/// The head of a packed expert file: all routed experts of a model in the form in which they are resident, each at a
/// place where one direct read fetches it into its buffer.
/// <code>
/// 0   8  magic "MOEXPACK"
/// 8   4  version, little-endian like all numbers
/// 12  4  length of the JSON description
/// 16  8  XxHash3 of the description and of the checksums
/// 24     JSON description, then one XxHash3 (8 bytes) for each expert, layer by layer
///        zeros to a multiple of 4096; then the experts, layer by layer, each <see cref="PackDescription.ExpertBytes"/> long
/// </code>
/// </summary>
/// <param name="Description">What the file was made from and holds.</param>
/// <param name="Checksums">XxHash3 of each expert.</param>
internal sealed record ExpertPack(PackDescription Description, ulong[] Checksums)
{
    public const int Version = 1;
    public const int FixedBytes = 24;

    private const string NameStart = "experts-";
    private const string NameEnd = ".moebius";

    /// <summary>Longest description that is believed; real ones have a few hundred bytes.</summary>
    private const int MostDescriptionBytes = 1 << 20;

    private static ReadOnlySpan<byte> Magic => "MOEXPACK"u8;

    /// <summary>Where the first expert begins.</summary>
    public long DataOffset { get; } = Align(FixedBytes + JsonSerializer.SerializeToUtf8Bytes(Description, PackJson.Default.PackDescription).Length + 8L * Checksums.Length);

    /// <summary>Length of the whole file.</summary>
    public long FileBytes => DataOffset + Checksums.Length * Description.ExpertBytes;

    /// <summary>Where the pack of a model lies unless said otherwise; each resident form has its own.</summary>
    public static string DefaultPath(string directory, ExpertLayout layout) => Path.Combine(directory, FileName(layout));

    public static string FileName(ExpertLayout layout) => $"{NameStart}{layout.Format.Name()}{NameEnd}";

    public long Offset(int expert) => DataOffset + expert * Description.ExpertBytes;

    /// <summary>The file's bytes before the first expert.</summary>
    public byte[] Head()
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(Description, PackJson.Default.PackDescription), head = new byte[DataOffset];
        Magic.CopyTo(head);
        BinaryPrimitives.WriteInt32LittleEndian(head.AsSpan(8), Version);
        BinaryPrimitives.WriteInt32LittleEndian(head.AsSpan(12), json.Length);
        json.CopyTo(head, FixedBytes);
        for (var i = 0; i < Checksums.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(head.AsSpan(FixedBytes + json.Length + 8 * i), Checksums[i]);
        BinaryPrimitives.WriteUInt64LittleEndian(head.AsSpan(16), XxHash3.HashToUInt64(head.AsSpan(FixedBytes, json.Length + 8 * Checksums.Length)));
        return head;
    }

    /// <summary>Reads and checks a file's head; nothing in it is believed before its checksum.</summary>
    /// <exception cref="UserInputException">It is not a pack, or not a whole one; the message names the file.</exception>
    public static ExpertPack Read(StoredFile file)
    {
        if (file.Length < FixedBytes)
            throw NoPack(file, $"has {file.Length} bytes, which is no packed expert file");
        var start = new byte[FixedBytes];
        file.Read(0, start, "head");
        if (!start.AsSpan(0, 8).SequenceEqual(Magic))
            throw NoPack(file, "does not begin as a packed expert file does");
        var version = BinaryPrimitives.ReadInt32LittleEndian(start.AsSpan(8));
        if (version != Version)
            throw Bad(file, $"has version {version}; this program reads version {Version}");
        var length = BinaryPrimitives.ReadInt32LittleEndian(start.AsSpan(12));
        if (length is < 2 or > MostDescriptionBytes || length > file.Length - FixedBytes)
            throw Bad(file, "is corrupt: the length of its description is impossible");
        var json = new byte[length];
        file.Read(FixedBytes, json, "description");
        var description = Parse(file, json);
        var experts = description.Layers.Sum(n => (long)n);
        if (experts > (file.Length - FixedBytes - length) / 8)
            throw Bad(file, "is truncated: it ends inside its checksums");
        var sums = new byte[8 * experts];
        file.Read(FixedBytes + length, sums, "checksums");
        var hash = new XxHash3();
        hash.Append(json);
        hash.Append(sums);
        if (hash.GetCurrentHashAsUInt64() != BinaryPrimitives.ReadUInt64LittleEndian(start.AsSpan(16)))
            throw Bad(file, "is corrupt: the checksum of its head is wrong");
        var pack = new ExpertPack(description, [.. Enumerable.Range(0, (int)experts).Select(i => BinaryPrimitives.ReadUInt64LittleEndian(sums.AsSpan(8 * i)))]);
        if (pack.FileBytes != file.Length)
            throw Bad(file, $"has {file.Length} bytes instead of {pack.FileBytes}: it is truncated or not a whole pack");
        return pack;
    }

    public static UserInputException Bad(StoredFile file, string what) =>
        new($"{file.Path}: {what}; make it anew with 'moebius pack', or delete it to read the safetensors");

    // What somebody named by mistake is not ours to have deleted.
    private static UserInputException NoPack(StoredFile file, string what)
    {
        var name = Path.GetFileName(file.Path);
        return name.StartsWith(NameStart, StringComparison.Ordinal) && name.EndsWith(NameEnd, StringComparison.Ordinal)
            ? Bad(file, what)
            : new($"{file.Path}: {what}; name a file that 'moebius pack' wrote, or name none to read the safetensors");
    }

    private static PackDescription Parse(StoredFile file, byte[] json)
    {
        try
        {
            var description = JsonSerializer.Deserialize(json, PackJson.Default.PackDescription);
            if (description is { Layers: not null, Layout: not null, Source: not null, ExpertBytes: > 0 } && description.Layers.All(n => n >= 0) && description.ExpertBytes % DirectFile.Alignment == 0)
                return description;
        }
        catch (JsonException)
        {
        }
        throw Bad(file, "is corrupt: its description cannot be read");
    }

    private static long Align(long bytes) => (bytes + DirectFile.Alignment - 1) / DirectFile.Alignment * DirectFile.Alignment;
}

/// <summary>What a pack was made from and holds.</summary>
/// <param name="Source">Fingerprint of the weights, hexadecimal.</param>
/// <param name="Layout">The resident form in words; see <see cref="Form"/>.</param>
/// <param name="ExpertBytes">Bytes of one expert, a multiple of 4096.</param>
/// <param name="Layers">Experts of each MoE layer.</param>
internal sealed record PackDescription(string Source, string Layout, long ExpertBytes, IReadOnlyList<int> Layers)
{
    public static PackDescription Of(ExpertCatalog catalog, string fingerprint) =>
        new(fingerprint, Form(catalog.Layout), catalog.Layout.Bytes, [.. catalog.PerLayer.Select(layer => layer.Count)]);

    /// <summary>The first word of a layout: the format of its weights.</summary>
    public static string FormatOf(string layout) => layout.Split(' ')[0];

    /// <summary>All that decides where each byte of an expert lies and what it means.</summary>
    private static string Form(ExpertLayout layout) =>
        $"{layout.Format.Name()} hidden {layout.Hidden} intermediate {layout.Intermediate} at {layout.Gate},{layout.Up},{layout.Down}" + (layout.HasBiases ? $",{layout.GateBias},{layout.UpBias},{layout.DownBias}" : "");
}

[System.Text.Json.Serialization.JsonSerializable(typeof(PackDescription))]
internal sealed partial class PackJson : System.Text.Json.Serialization.JsonSerializerContext;
