using System.Runtime.InteropServices;

namespace Moebius.Inference.Models;

/// <summary>
/// Memory for blocks of keys and values. A few that are given back are kept: sequences that decode side by side need their next blocks in
/// the same step, and to ask the system for memory, page by page, takes longer than all else that a step does beside its maths.
/// Thread-safe, since a sequence that was forgotten is freed by the garbage collector.
/// </summary>
/// <param name="bytes">Of a block.</param>
internal sealed unsafe class KvBlocks(int bytes) : IDisposable
{
    /// <summary>More are left to the system.</summary>
    internal const int KeptBytes = 8 << 20;

    private readonly Stack<nint> _free = [];
    private bool _disposed;

    ~KvBlocks() => Free();

    /// <summary>Bytes of a block.</summary>
    public int Bytes => bytes;

    /// <summary>A block with anything in it, which begins a cache line.</summary>
    public nint Take()
    {
        lock (_free)
        {
            if (_free.TryPop(out var block))
                return block;
        }
        return (nint)NativeMemory.AlignedAlloc((nuint)bytes, 64);
    }

    /// <summary>Takes a block back; also after the end.</summary>
    public void Return(nint block)
    {
        lock (_free)
        {
            if (!_disposed && (_free.Count + 1L) * bytes <= KeptBytes)
            {
                _free.Push(block);
                return;
            }
        }
        NativeMemory.AlignedFree((void*)block);
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        lock (_free)
        {
            _disposed = true;
            while (_free.TryPop(out var block))
                NativeMemory.AlignedFree((void*)block);
        }
    }
}
