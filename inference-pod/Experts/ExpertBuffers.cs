using Moebius.Inference.Storage;

namespace Moebius.Inference.Experts;

/// <summary>
/// The fast tier's memory: equal buffers in one range of addresses, aligned for direct reads. A buffer takes memory
/// when it is first filled. Huge pages are asked for: they make reads cheaper to set up and weights cheaper to walk.
/// </summary>
internal sealed unsafe class ExpertBuffers : IDisposable
{
    private readonly long _stride;
    private HugePages? _pages;
    private byte* _first;

    /// <param name="count">Buffers.</param>
    /// <param name="bytes">Bytes of each, a multiple of <see cref="DirectFile.Alignment"/>.</param>
    public ExpertBuffers(int count, long bytes)
    {
        _stride = bytes;
        if (count == 0)
            return;
        var pages = HugePages.Map(count * bytes, $"{count} expert buffers of {bytes} bytes");
        _pages = pages;
        _first = (byte*)pages.First;
    }

    public byte* this[int slot] => _first + slot * _stride;

    public Span<byte> Span(int slot) => new(this[slot], checked((int)_stride));

    public void Dispose()
    {
        _pages?.Free();
        _pages = null;
        _first = null;
    }
}
