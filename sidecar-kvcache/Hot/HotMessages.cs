using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Moebius.Kvcache.V1;
using Moebius.KvCache.Arena;

namespace Moebius.KvCache.Hot;

/// <summary>A frame could not be read.</summary>
internal sealed class MalformedFrameException(string message) : Exception(message);

/// <summary>
/// Frames of the hot socket, as protos/kvcache.proto describes them. A lookup is read in place: its tokens are hashed where
/// they were received, and its slots are written straight into the answer.
/// </summary>
internal static class HotMessages
{
    public const byte ReleaseSlots = 2;
    public const byte Error = 3;
    public const byte Lookup = 4;
    public const byte Release = 5;

    /// <summary>Bytes before a frame's body: length, kind, call number.</summary>
    public const int HeaderBytes = 9;

    /// <summary>Longest frame, as over gRPC.</summary>
    public const int MaxFrameBytes = 32 << 20;

    /// <summary>Bytes of an answer to a lookup before its slots.</summary>
    public const int AnswerHeadBytes = 12;

    /// <summary>Bytes of a slot in an answer.</summary>
    public const int SlotBytes = 12;

    private const int LookupHeadBytes = 8;
    private const byte Anonymous = 1;
    private const byte Again = 2;

    /// <summary>Reads a lookup.</summary>
    /// <exception cref="MalformedFrameException">It is none.</exception>
    public static HotLookup ReadLookup(ReadOnlySpan<byte> body)
    {
        if (body.Length < LookupHeadBytes)
            throw new MalformedFrameException("a lookup without its head");
        var flags = body[4];
        var (sessionBytes, tenantBytes) = (body[5], BinaryPrimitives.ReadUInt16LittleEndian(body[6..]));
        var tokens = LookupHeadBytes + sessionBytes + tenantBytes;
        if (tokens > body.Length || (body.Length - tokens) % sizeof(uint) != 0 || (flags & ~(Anonymous | Again)) != 0)
            throw new MalformedFrameException("a lookup whose lengths or flags do not fit");
        return new HotLookup
        {
            WaitMilliseconds = BinaryPrimitives.ReadUInt32LittleEndian(body),
            IsAnonymous = (flags & Anonymous) != 0,
            IsAgain = (flags & Again) != 0,
            Session = body.Slice(LookupHeadBytes, sessionBytes),
            Tenant = body.Slice(LookupHeadBytes + sessionBytes, tenantBytes),
            Tokens = MemoryMarshal.Cast<byte, uint>(body[tokens..]),
        };
    }

    /// <summary>Writes the frame of a lookup's answer.</summary>
    /// <returns>Its length.</returns>
    public static int WriteAnswer(ref byte[] buffer, uint call, ulong lease, int staging, ReadOnlySpan<SlotRef> blocks)
    {
        var length = HeaderBytes + AnswerHeadBytes + (blocks.Length * SlotBytes);
        if (buffer.Length < length)
            buffer = new byte[Math.Max(length, 2 * buffer.Length)];
        WriteHeader(buffer, length - HeaderBytes, Lookup, call);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer.AsSpan(HeaderBytes), lease);
        BinaryPrimitives.WriteInt32LittleEndian(buffer.AsSpan(HeaderBytes + 8), staging);
        var target = buffer.AsSpan(HeaderBytes + AnswerHeadBytes, blocks.Length * SlotBytes);
        foreach (var block in blocks)
        {
            BinaryPrimitives.WriteInt32LittleEndian(target, block.Index);
            BinaryPrimitives.WriteUInt64LittleEndian(target[4..], block.Generation);
            target = target[SlotBytes..];
        }

        return length;
    }

    /// <summary>Reads the end of a lease.</summary>
    /// <exception cref="MalformedFrameException">It is none.</exception>
    public static ulong ReadRelease(ReadOnlySpan<byte> body, out ReadOnlySpan<byte> session)
    {
        if (body.Length < sizeof(ulong))
            throw new MalformedFrameException("a release without its lease");
        session = body[sizeof(ulong)..];
        return BinaryPrimitives.ReadUInt64LittleEndian(body);
    }

    /// <exception cref="MalformedFrameException">It is none.</exception>
    public static ReleaseRequest ReadReleaseSlots(ReadOnlySpan<byte> body)
    {
        try
        {
            return ReleaseRequest.Parser.ParseFrom(body);
        }
        catch (InvalidProtocolBufferException error)
        {
            throw new MalformedFrameException(error.Message);
        }
    }

    /// <summary>Makes a frame of a message.</summary>
    public static byte[] Frame(byte kind, uint call, IMessage message)
    {
        var frame = new byte[HeaderBytes + message.CalculateSize()];
        message.WriteTo(frame.AsSpan(HeaderBytes));
        WriteHeader(frame, frame.Length - HeaderBytes, kind, call);
        return frame;
    }

    /// <summary>Writes what stands before a frame's body.</summary>
    public static void WriteHeader(Span<byte> target, int bodyBytes, byte kind, uint call)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(target, (uint)(bodyBytes + HeaderBytes - sizeof(uint)));
        target[4] = kind;
        BinaryPrimitives.WriteUInt32LittleEndian(target[5..], call);
    }
}

/// <summary>A lookup, in the buffer that it was received in.</summary>
internal readonly ref struct HotLookup
{
    public uint WaitMilliseconds { get; init; }

    public bool IsAnonymous { get; init; }

    /// <summary>The same request has looked up before.</summary>
    public bool IsAgain { get; init; }

    /// <summary>UTF-8.</summary>
    public ReadOnlySpan<byte> Session { get; init; }

    /// <summary>UTF-8.</summary>
    public ReadOnlySpan<byte> Tenant { get; init; }

    public ReadOnlySpan<uint> Tokens { get; init; }
}
