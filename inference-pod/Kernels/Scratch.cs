using System.Runtime.InteropServices;

namespace Moebius.Inference.Kernels;

/// <summary>
/// Memory for the intermediate results of a step, taken in order and given back all at once or down to a mark. It
/// grows to what the largest step needed and is then reused, so that a step allocates nothing. One thread uses it.
/// </summary>
internal sealed unsafe class Scratch : IDisposable
{
    private const long Alignment = 64;
    private const long SmallestBlock = 1 << 20;

    private readonly List<(nint Data, long Bytes)> _blocks = [];
    private int _block = -1;
    private long _used;

    ~Scratch() => Free();

    /// <summary>Uninitialised floats, aligned to a cache line; valid until <see cref="Release"/> of an earlier mark.</summary>
    public float* Floats(long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        var bytes = (count * sizeof(float) + Alignment - 1) / Alignment * Alignment;
        while (_block < 0 || _used + bytes > _blocks[_block].Bytes)
        {
            if (_block + 1 == _blocks.Count)
            {
                var size = Math.Max(bytes, Math.Max(SmallestBlock, _block < 0 ? 0 : 2 * _blocks[_block].Bytes));
                _blocks.Add(((nint)NativeMemory.AlignedAlloc((nuint)size, (nuint)Alignment), size));
            }
            _block++;
            _used = 0;
        }
        var result = (float*)(_blocks[_block].Data + (nint)_used);
        _used += bytes;
        return result;
    }

    public (int Block, long Used) Mark() => (_block, _used);

    /// <summary>Gives back everything taken since the mark.</summary>
    public void Release((int Block, long Used) mark) => (_block, _used) = mark;

    /// <summary>Gives back everything; several blocks become one for the next step.</summary>
    public void Reset()
    {
        if (_blocks.Count > 1)
        {
            var bytes = _blocks.Sum(b => b.Bytes);
            Free();
            _blocks.Add(((nint)NativeMemory.AlignedAlloc((nuint)bytes, (nuint)Alignment), bytes));
        }
        (_block, _used) = (-1, 0);
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        foreach (var (data, _) in _blocks)
            NativeMemory.AlignedFree((void*)data);
        _blocks.Clear();
    }
}
