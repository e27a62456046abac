using Moebius.Inference.Storage;

namespace Moebius.Inference.Kernels;

/// <summary>
/// The memory of a model's dense weights, taken piece by piece while it loads and given back all at once. Pieces share
/// ranges of addresses, since alone most are smaller than a huge page, and huge pages are asked for: weights are read
/// from end to end, and each small page costs a look-up and ends the processor's own reading ahead. A page takes memory
/// when it is first written.
/// </summary>
internal sealed unsafe class WeightMemory : IDisposable
{
    private const long RangeBytes = 256 << 20;
    private const long Alignment = 64;

    private readonly List<HugePages> _ranges = [];
    private byte* _next;
    private long _left;

    ~WeightMemory() => Free();

    /// <summary>Bytes taken.</summary>
    public long Bytes { get; private set; }

    /// <summary>Zeroed memory, aligned to a cache line; valid until this is disposed.</summary>
    /// <exception cref="InsufficientMemoryException">The system has no addresses left.</exception>
    public byte* Take(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        bytes = (bytes + Alignment - 1) / Alignment * Alignment;
        if (bytes > _left)
            AddRange(Math.Max(bytes, RangeBytes));
        var result = _next;
        _next += bytes;
        _left -= bytes;
        Bytes += bytes;
        return result;
    }

    /// <summary>A vector, to be written.</summary>
    public WeightVector Vector(int length) => new((nint)Take((long)length * sizeof(float)), length);

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void AddRange(long bytes)
    {
        var range = HugePages.Map(bytes, $"{bytes} bytes for weights");
        _ranges.Add(range);
        _next = (byte*)range.First;
        _left = bytes;
    }

    private void Free()
    {
        foreach (var range in _ranges)
            range.Free();
        _ranges.Clear();
        _next = null;
        _left = 0;
    }
}

/// <summary>fp32 weights of a model; its <see cref="WeightMemory"/> owns them.</summary>
/// <param name="Address">Of the first.</param>
/// <param name="Length">How many.</param>
internal readonly unsafe record struct WeightVector(nint Address, int Length)
{
    public float* Data => (float*)Address;

    public ReadOnlySpan<float> Span => new(Data, Length);
}
