namespace Moebius.Inference.Models;

/// <summary>
/// Arrays for one row of logits each, used again once they are given back. With the vocabularies of today one is a large object
/// to the garbage collector: a new one for each token would have it walk the whole heap again and again, and grow it between.
/// Not thread-safe.
/// </summary>
/// <param name="width">Of a row.</param>
internal sealed class LogitRows(int width)
{
    /// <summary>More are left to the collector.</summary>
    internal const int Most = 64;

    private readonly Stack<float[]> _free = [];

    /// <summary>An array with anything in it.</summary>
    public float[] Take() => _free.TryPop(out var row) ? row : GC.AllocateUninitializedArray<float>(width);

    /// <summary>Takes back those that are one row.</summary>
    public void Return(IEnumerable<float[]> rows)
    {
        foreach (var row in rows)
        {
            if (row.Length == width && _free.Count < Most)
                _free.Push(row);
        }
    }
}
