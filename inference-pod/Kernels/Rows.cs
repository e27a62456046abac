namespace Moebius.Inference.Kernels;

/// <summary>
/// A view of fp32 rows [count, width], one after the other without gaps. It owns nothing: the memory is a
/// <see cref="Scratch"/>'s and lives no longer than the step.
/// </summary>
internal readonly unsafe struct Rows(float* data, int count, int width)
{
    public float* Data => data;

    public int Count => count;

    public int Width => width;

    public float* this[int row] => data + (nint)row * width;

    public Span<float> Span(int row) => new(this[row], width);

    /// <summary>Rows [first, first + number).</summary>
    public Rows Slice(int first, int number) => new(this[first], number, width);
}
