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

    private readonly float[]?[] _rows = new float[buckets][];
    private readonly float[] _squares = LinearGate.Filled(buckets);

    /// <summary>Adds the logits of a token to <paramref name="logits"/>.</summary>
    public void AddTo(int token, Span<float> logits)
    {
        if (_rows[token % buckets] is { } row)
            TensorPrimitives.Add(logits, row, logits);
    }

    /// <summary>One step down the gradient.</summary>
    /// <param name="token">Token id.</param>
    /// <param name="error">Predicted probability minus truth, one per expert.</param>
    public void Learn(int token, ReadOnlySpan<float> error)
    {
        int bucket = token % buckets;
        ref float square = ref _squares[bucket];
        square += TensorPrimitives.SumOfSquares(error) / experts;
        float[] row = _rows[bucket] ??= new float[experts];
        TensorPrimitives.MultiplyAdd(error, -Rate / MathF.Sqrt(square), row, row);
    }

    /// <summary>Writes the rows that have learned something, each behind its number.</summary>
    public void Save(BinaryWriter writer)
    {
        writer.Write(_rows.Count(row => row is not null));
        for (int bucket = 0; bucket < buckets; bucket++)
        {
            if (_rows[bucket] is not { } row)
                continue;
            writer.Write(bucket);
            writer.Write(MemoryMarshal.AsBytes<float>(row));
            writer.Write(_squares[bucket]);
        }
    }

    /// <exception cref="InvalidDataException">The numbers make no sense.</exception>
    public void Load(BinaryReader reader)
    {
        int count = reader.ReadInt32();
        for (int i = 0, last = -1; i < count; i++)
        {
            int bucket = reader.ReadInt32();
            if (bucket <= last || bucket >= buckets)
                throw new InvalidDataException($"row {bucket} after {last}, of {buckets}");
            LinearGate.ReadFinite(reader, _rows[last = bucket] = new float[experts]);
            LinearGate.ReadFinite(reader, _squares.AsSpan(bucket, 1));
        }
    }
}
