using System.Buffers.Binary;
using System.IO.Compression;
using System.IO.Hashing;
using System.Text;
using Moebius.Crds;
using Moebius.Crds.Host;

namespace Moebius.Inference.Prediction;

/// <summary>
/// A small binary file that is either whole or refused: 8 bytes of magic, version (4), length of the rest (8), its
/// XxHash128 (16), then the deflated body. It is written beside its place and renamed. The hash is against damage only: to load
/// OpenSSL for one that withstands attacks would cost a server 6 MiB.
/// </summary>
internal static class BinaryFile
{
    private const int HeaderBytes = 8 + 4 + 8 + 16;

    /// <summary>Most bytes that deflate makes of one: 258 of two bits.</summary>
    private const int MostRatio = 1032;

    /// <exception cref="UserInputException">The file cannot be written.</exception>
    public static void Write(string path, ReadOnlySpan<byte> magic, int version, Action<BinaryWriter> body)
    {
        using var content = new MemoryStream();
        using (var deflate = new DeflateStream(content, CompressionLevel.Fastest, leaveOpen: true))
        using (var buffered = new BufferedStream(deflate, 1 << 16))
        using (var writer = new BinaryWriter(buffered, Encoding.UTF8))
            body(writer);
        var bytes = content.GetBuffer().AsSpan(0, (int)content.Length);
        var header = new byte[HeaderBytes];
        magic.CopyTo(header);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(8), version);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(12), bytes.Length);
        XxHash128.Hash(bytes, header.AsSpan(20));
        try
        {
            DurableFile.Replace(path, file =>
            {
                file.Write(header);
                file.Write(content.GetBuffer(), 0, (int)content.Length);
            });
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new UserInputException($"{path} cannot be written ({error.Message})", error);
        }
    }

    /// <param name="path">The file.</param>
    /// <param name="kind">What it should be, for messages.</param>
    /// <param name="source">What makes such files, for messages.</param>
    /// <param name="magic">Its first 8 bytes.</param>
    /// <param name="version">The version that can be read.</param>
    /// <param name="body">Reads the body, which holds at most the given bytes; throws <see cref="InvalidDataException"/> on what makes no sense.</param>
    /// <exception cref="UserInputException">It is missing, damaged, or of another kind or version.</exception>
    public static T Read<T>(string path, string kind, string source, ReadOnlySpan<byte> magic, int version, Func<BinaryReader, long, T> body)
    {
        byte[] bytes;
        try
        {
            bytes = File.ReadAllBytes(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new UserInputException($"{path} cannot be read ({error.Message})", error);
        }

        if (bytes.Length < HeaderBytes || !bytes.AsSpan(0, 8).SequenceEqual(magic))
            throw new UserInputException($"{path} is not a {kind}: make one with {source}");
        var found = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(8));
        if (found != version)
            throw new UserInputException($"{path} is a {kind} of version {found}; this program reads version {version}: make it again with {source}");
        var length = BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(12));
        if (length != bytes.Length - HeaderBytes || !XxHash128.Hash(bytes.AsSpan(HeaderBytes)).AsSpan().SequenceEqual(bytes.AsSpan(20, 16)))
            throw new UserInputException($"{path} is damaged (its checksum does not match): make it again with {source}");
        try
        {
            using var deflate = new DeflateStream(new MemoryStream(bytes, HeaderBytes, bytes.Length - HeaderBytes), CompressionMode.Decompress);
            using var buffered = new BufferedStream(deflate, 1 << 16);
            using var reader = new BinaryReader(buffered, Encoding.UTF8);
            return body(reader, (long)MostRatio * (bytes.Length - HeaderBytes));
        }
        catch (Exception error) when (error is InvalidDataException or EndOfStreamException or OverflowException or FormatException)
        {
            throw new UserInputException($"{path} is not a {kind} that makes sense ({error.Message}): make it again with {source}", error);
        }
    }
}
