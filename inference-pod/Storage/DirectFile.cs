using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Moebius.Inference.Storage;

/// <summary>
/// Reads past the page cache (O_DIRECT): what is resident is what the budget says, and what is measured is the device.
/// A read whose offset, length and memory are multiples of <see cref="Alignment"/> goes straight to its place; any
/// other passes through an aligned buffer.
/// </summary>
internal sealed unsafe class DirectFile(string path, SafeFileHandle handle) : StoredFile(path, handle)
{
    /// <summary>Enough for every device: blocks are of 512 or 4096 bytes.</summary>
    public const int Alignment = 4096;

    /// <summary>Bytes of a bounce buffer.</summary>
    private const int BounceBytes = 1 << 20;

    /// <summary>Buffers that no read uses, of all files: a checkpoint of many shards needs no more of them than one.</summary>
    private static readonly ConcurrentBag<nint> Bounces = [];

    public override string Access => "direct I/O";

    public override void Read(long offset, Span<byte> destination, string what)
    {
        if (destination.IsEmpty)
            return;
        // Held in place: an array that moved after the look at its address would be refused by the kernel.
        fixed (byte* start = destination)
        {
            if ((offset | (nint)start | (long)destination.Length) % Alignment == 0)
                Fill(offset, destination, destination.Length, what);
            else
                ThroughBounce(offset, destination, what);
        }
    }

    private void ThroughBounce(long offset, Span<byte> destination, string what)
    {
        if (!Bounces.TryTake(out var bounce))
            bounce = (nint)NativeMemory.AlignedAlloc(BounceBytes, Alignment);
        try
        {
            while (!destination.IsEmpty)
            {
                var skip = (int)(offset % Alignment);
                var count = Math.Min(destination.Length, BounceBytes - skip);
                var aligned = (skip + count + Alignment - 1) / Alignment * Alignment;
                Fill(offset - skip, new Span<byte>((void*)bounce, aligned), skip + count, what);
                new ReadOnlySpan<byte>((byte*)bounce + skip, count).CopyTo(destination);
                destination = destination[count..];
                offset += count;
            }
        }
        finally
        {
            Bounces.Add(bounce);
        }
    }

    /// <summary>Reads aligned blocks until at least <paramref name="needed"/> bytes are there: the file may end inside the last.</summary>
    private void Fill(long offset, Span<byte> blocks, int needed, string what)
    {
        for (var done = 0; done < needed;)
        {
            var read = RandomAccess.Read(Handle, blocks[done..], offset + done);
            // A read that ends inside a block ended at the end of the file, and cannot be continued from there.
            if (read == 0 || (done + read < needed && read % Alignment != 0))
                throw Truncated(what, offset + done + read);
            done += read;
        }
    }
}
