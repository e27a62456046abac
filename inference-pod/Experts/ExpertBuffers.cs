using System.ComponentModel;
using System.Runtime.InteropServices;
using Moebius.Inference.Storage;

namespace Moebius.Inference.Experts;

/// <summary>
/// The fast tier's memory: equal buffers in one range of addresses, aligned for direct reads. A buffer takes memory
/// when it is first filled. Huge pages are asked for: they make reads cheaper to set up and weights cheaper to walk.
/// </summary>
internal sealed unsafe class ExpertBuffers : IDisposable
{
    private const long HugePage = 2 << 20;
    private readonly nuint _bytes;
    private readonly long _stride;
    private byte* _mapped;
    private byte* _first;

    /// <param name="count">Buffers.</param>
    /// <param name="bytes">Bytes of each, a multiple of <see cref="DirectFile.Alignment"/>.</param>
    public ExpertBuffers(int count, long bytes)
    {
        _stride = bytes;
        if (count == 0)
            return;
        var total = count * bytes;
        _bytes = (nuint)(total + HugePage);
        _mapped = (byte*)LibC.mmap(null, _bytes, LibC.ProtectRead | LibC.ProtectWrite, LibC.MapPrivate | LibC.MapAnonymous | LibC.MapNoReserve, -1, 0);
        if ((nint)_mapped == -1)
        {
            _mapped = null;
            throw new InsufficientMemoryException($"{count} expert buffers of {bytes} bytes: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");
        }
        _first = (byte*)(((nint)_mapped + HugePage - 1) / (nint)HugePage * (nint)HugePage);
        // Only whole huge pages: the last part of one would be memory beyond the budget.
        _ = LibC.madvise(_first, (nuint)(total / HugePage * HugePage), LibC.AdviseHugePage);
    }

    public byte* this[int slot] => _first + slot * _stride;

    public Span<byte> Span(int slot) => new(this[slot], checked((int)_stride));

    public void Dispose()
    {
        if (_mapped != null)
            _ = LibC.munmap(_mapped, _bytes);
        _mapped = _first = null;
    }
}
