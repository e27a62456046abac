using System.Buffers.Binary;
using System.Text;
using Google.Protobuf;
using Moebius.KvCache.Service;
using Moebius.Kvcache.V1;

namespace Moebius.KvCache.Hot;

/// <summary>A frame could not be read.</summary>
internal sealed class MalformedFrameException(string message) : Exception(message);

/// <summary>
/// The two messages of the hot path, read and written by hand in the wire format of protos/kvcache.proto: a prompt's
/// tokens go straight into a buffer that is used again, and slots straight into the answer.
/// </summary>
internal static class HotMessages
{
    public const byte Lookup = 1;
    public const byte Release = 2;
    public const byte Error = 3;

    /// <summary>Bytes before a frame's message: length, kind, call number.</summary>
    public const int HeaderBytes = 9;

    /// <summary>Longest frame, as over gRPC.</summary>
    public const int MaxFrameBytes = 32 << 20;

    private const int VarintType = 0;
    private const int Fixed64Type = 1;
    private const int BytesType = 2;
    private const int Fixed32Type = 5;

    /// <summary>Reads a LookupRequest.</summary>
    /// <param name="message">Its bytes.</param>
    /// <param name="tokens">A buffer for the tokens; replaced by a larger one when they do not fit.</param>
    /// <exception cref="MalformedFrameException">It is none.</exception>
    public static HotLookup ReadLookup(ReadOnlySpan<byte> message, ref uint[] tokens)
    {
        var request = default(HotLookup) with { Session = "", Tenant = "" };
        var count = 0;
        while (message.Length > 0)
        {
            var tag = ReadVarint(ref message);
            switch (tag)
            {
                case (1 << 3) | BytesType:
                    request = request with { Session = Encoding.UTF8.GetString(ReadBytes(ref message)) };
                    break;
                case (2 << 3) | BytesType:
                    request = request with { Tenant = Encoding.UTF8.GetString(ReadBytes(ref message)) };
                    break;
                case (3 << 3) | VarintType:
                    request = request with { Anonymous = ReadVarint(ref message) != 0 };
                    break;
                case (4 << 3) | BytesType:
                    var packed = ReadBytes(ref message);
                    // At least one byte for each token.
                    Grow(ref tokens, count + packed.Length);
                    while (packed.Length > 0)
                        tokens[count++] = (uint)ReadVarint(ref packed);
                    break;
                case (4 << 3) | VarintType:
                    Grow(ref tokens, count + 1);
                    tokens[count++] = (uint)ReadVarint(ref message);
                    break;
                case (5 << 3) | VarintType:
                    request = request with { WaitMilliseconds = (uint)ReadVarint(ref message) };
                    break;
                default:
                    Skip(ref message, tag);
                    break;
            }
        }

        return request with { Tokens = count };
    }

    /// <summary>Writes a frame with a LookupResponse.</summary>
    /// <returns>Its length.</returns>
    public static int WriteLookup(ref byte[] buffer, uint call, in LookupAnswer answer)
    {
        const int LeaseBytes = 18;
        const int LargestSlot = 2 + 6 + 11;
        var needed = HeaderBytes + LeaseBytes + (answer.Blocks.Length * LargestSlot) + 6;
        if (buffer.Length < needed)
            buffer = new byte[needed];
        var target = buffer.AsSpan();
        var at = HeaderBytes;
        target[at++] = (1 << 3) | BytesType;
        target[at++] = 16;
        answer.Lease.TryFormat(target.Slice(at, 16), out _, "x16");
        at += 16;
        foreach (var slot in answer.Blocks)
        {
            target[at] = (2 << 3) | BytesType;
            var start = at + 2;
            var end = start;
            // A zero is not written, as protobuf has it.
            if (slot.Index != 0)
            {
                target[end++] = (1 << 3) | VarintType;
                end += WriteVarint(target[end..], (uint)slot.Index);
            }

            if (slot.Generation != 0)
            {
                target[end++] = (2 << 3) | VarintType;
                end += WriteVarint(target[end..], slot.Generation);
            }

            target[at + 1] = (byte)(end - start);
            at = end;
        }

        if (answer.Staging > 0)
        {
            target[at++] = (3 << 3) | VarintType;
            at += WriteVarint(target[at..], (uint)answer.Staging);
        }

        WriteHeader(target, at - HeaderBytes, Lookup, call);
        return at;
    }

    /// <summary>Makes a frame of any message.</summary>
    public static byte[] Frame(byte kind, uint call, IMessage message)
    {
        var frame = new byte[HeaderBytes + message.CalculateSize()];
        message.WriteTo(frame.AsSpan(HeaderBytes));
        WriteHeader(frame, frame.Length - HeaderBytes, kind, call);
        return frame;
    }

    public static ReleaseRequest ReadRelease(ReadOnlySpan<byte> message)
    {
        try
        {
            return ReleaseRequest.Parser.ParseFrom(message);
        }
        catch (InvalidProtocolBufferException error)
        {
            throw new MalformedFrameException(error.Message);
        }
    }

    private static void WriteHeader(Span<byte> target, int messageBytes, byte kind, uint call)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(target, (uint)(messageBytes + HeaderBytes - sizeof(uint)));
        target[4] = kind;
        BinaryPrimitives.WriteUInt32LittleEndian(target[5..], call);
    }

    private static void Grow(ref uint[] tokens, int count)
    {
        if (tokens.Length < count)
            Array.Resize(ref tokens, Math.Max(count, 2 * tokens.Length));
    }

    private static ulong ReadVarint(ref ReadOnlySpan<byte> source)
    {
        ulong value = 0;
        for (var index = 0; index < source.Length && index < 10; index++)
        {
            value |= (ulong)(source[index] & 0x7F) << (7 * index);
            if (source[index] < 0x80)
            {
                source = source[(index + 1)..];
                return value;
            }
        }

        throw new MalformedFrameException("a number has no end");
    }

    private static ReadOnlySpan<byte> ReadBytes(ref ReadOnlySpan<byte> source)
    {
        var length = ReadVarint(ref source);
        if (length > (ulong)source.Length)
            throw new MalformedFrameException("a field is longer than its message");
        var bytes = source[..(int)length];
        source = source[(int)length..];
        return bytes;
    }

    private static void Skip(ref ReadOnlySpan<byte> source, ulong tag)
    {
        var fixedBytes = (tag & 7) switch
        {
            Fixed64Type => 8,
            Fixed32Type => 4,
            VarintType or BytesType => 0,
            _ => throw new MalformedFrameException("a field of a type that is not known"),
        };
        if (fixedBytes > source.Length)
            throw new MalformedFrameException("a field is longer than its message");
        if ((tag & 7) == VarintType)
            ReadVarint(ref source);
        else if ((tag & 7) == BytesType)
            ReadBytes(ref source);
        source = source[fixedBytes..];
    }

    private static int WriteVarint(Span<byte> target, ulong value)
    {
        var length = 0;
        for (; value >= 0x80; value >>= 7)
            target[length++] = (byte)(value | 0x80);
        target[length++] = (byte)value;
        return length;
    }
}

/// <summary>A lookup as it came in a frame; its tokens are in the reader's buffer.</summary>
/// <param name="Tokens">How many.</param>
internal readonly record struct HotLookup(string Session, string Tenant, bool Anonymous, uint WaitMilliseconds, int Tokens);
