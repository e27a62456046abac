namespace Moebius.Inference.Checkpoints;

/// <summary>Where one tensor lies in a safetensors file.</summary>
/// <param name="Name">Its name in the header.</param>
/// <param name="Type">Element type.</param>
/// <param name="Shape">Row-major sizes; empty for a scalar.</param>
/// <param name="Offset">First byte, counted from the start of the file.</param>
/// <param name="Length">Bytes.</param>
internal sealed record TensorEntry(string Name, TensorType Type, long[] Shape, long Offset, long Length)
{
    public long Elements => Length / Type.Bytes();

    public string ShapeText => Text(Shape);

    public static string Text(IEnumerable<long> shape) => $"[{string.Join(", ", shape)}]";
}
