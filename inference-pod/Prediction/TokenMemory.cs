using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Moebius.Inference.Prediction;

/// <summary>
/// What a token id says of the experts of one layer: a row of logits for each id, or for each bucket of ids when the
/// vocabulary is large. Rows share one learning rate each (AdaGrad over the row's mean square). Only rows that have learned
/// something take memory.
/// </summary>
internal sealed class TokenMemory(int buckets, int experts)
{
    private const float Rate = 0.25f;

    /// <summary>By bucket: the logits, and behind them the sum of mean squares.</summary>
    private readonly Dictionary<int, float[]> _rows = [];

    /// <summary>Adds the logits of a token to <paramref name="logits"/>.</summary>
    public void AddTo(int token, Span<float> logits)
    {
        if (_rows.TryGetValue(token % buckets, out var row))
            TensorPrimitives.Add(logits, row.AsSpan(0, experts), logits);
    }

    /// <summary>One step down the gradient.</summary>
    /// <param name="token">Token id.</param>
    /// <param name="error">Predicted probability minus truth, one per expert.</param>
    public void Learn(int token, ReadOnlySpan<float> error)
    {
        ref var row = ref CollectionsMarshal.GetValueRefOrAddDefault(_rows, token % buckets, out _);
        row ??= [.. new float[experts], LinearGate.FirstSquare];
        ref var square = ref row[experts];
        square += TensorPrimitives.SumOfSquares(error) / experts;
        var logits = row.AsSpan(0, experts);
        TensorPrimitives.MultiplyAdd(error, -Rate / MathF.Sqrt(square), logits, logits);
    }

    /// <summary>Writes the rows that have learned something, each behind its number.</summary>
    public void Save(BinaryWriter writer)
    {
        writer.Write(_rows.Count);
        foreach (var (bucket, row) in _rows.OrderBy(row => row.Key))
        {
            writer.Write(bucket);
            writer.Write(MemoryMarshal.AsBytes<float>(row));
        }
    }

    /// <exception cref="InvalidDataException">The numbers make no sense.</exception>
    public void Load(BinaryReader reader)
    {
        var count = reader.ReadInt32();
        for (int i = 0, last = -1; i < count; i++)
        {
            var bucket = reader.ReadInt32();
            if (bucket <= last || bucket >= buckets)
                throw new InvalidDataException($"row {bucket} after {last}, of {buckets}");
            LinearGate.ReadFinite(reader, _rows[last = bucket] = new float[experts + 1]);
        }
    }
}
