using Moebius.KvCache.Arena;
using Moebius.KvCache.Service;

namespace Moebius.KvCache.Hot;

/// <summary>Memory that the hot socket's thread uses for one connection after the other, so that it stays in the processor's caches.</summary>
internal sealed class HotBuffers
{
    /// <summary>Long enough for most prompts.</summary>
    private const int InputBytes = 64 << 10;

    private SlotRef[] _slots = [];
    private byte[] _output = [];
    private byte[]? _input;

    /// <summary>What has been received.</summary>
    public byte[] Input => _input ??= new byte[InputBytes];

    /// <summary>Room for the slots of an answer that is sent at once.</summary>
    public SlotRef[] Slots(int count)
    {
        if (_slots.Length < count)
            _slots = new SlotRef[Math.Max(Math.Max(256, 2 * _slots.Length), count)];
        return _slots;
    }

    /// <summary>The frame of an answer, until the next one is made.</summary>
    public ReadOnlySpan<byte> Answer(uint call, in LookupAnswer answer)
    {
        var length = HotMessages.WriteAnswer(ref _output, call, answer.Lease, answer.Staging, answer.Blocks.Span);
        return _output.AsSpan(0, length);
    }
}
