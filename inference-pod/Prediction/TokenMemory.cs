using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Moebius.Inference.Prediction;

/// <summary>
/// What a token id says of the experts of one layer: a row of logits for each id, or for each bucket of ids when the
/// vocabulary is large. Rows share one learning rate each (AdaGrad over the row's mean square). Only rows that have learned
/// something take memory, in pages: an object for each would take more than the logits of a layer of few experts.
/// </summary>
internal sealed class TokenMemory(int buckets, int experts)
{
    /// <summary>Rows of a page.</summary>
    public const int PageRows = 32;

    private const float Rate = 0.25f;

    /// <summary>By bucket, the number of its row from 1 on; 0: it has none. Made with the first row.</summary>
    private int[] _numbers = [];

    /// <summary>Rows in the order in which they came: the logits of each, and behind them the sum of mean squares.</summary>
    private float[]?[] _pages = [];
    private int _count;

    /// <summary>Adds the logits of a token to <paramref name="logits"/>.</summary>
    public void AddTo(int token, Span<float> logits)
    {
        if (_count > 0 && _numbers[token % buckets] is var number and > 0)
            TensorPrimitives.Add(logits, Row(number)[..experts], logits);
    }

    /// <summary>One step down the gradient.</summary>
    /// <param name="token">Token id.</param>
    /// <param name="error">Predicted probability minus truth, one per expert.</param>
    public void Learn(int token, ReadOnlySpan<float> error)
    {
        var bucket = token % buckets;
        var row = _count > 0 && _numbers[bucket] is var number and > 0 ? Row(number) : Add(bucket);
        ref var square = ref row[experts];
        square += TensorPrimitives.SumOfSquares(error) / experts;
        var logits = row[..experts];
        TensorPrimitives.MultiplyAdd(error, -Rate / MathF.Sqrt(square), logits, logits);
    }

    /// <summary>Writes the rows that have learned something, each behind its number.</summary>
    public void Save(BinaryWriter writer)
    {
        writer.Write(_count);
        for (var bucket = 0; bucket < _numbers.Length; bucket++)
        {
            if (_numbers[bucket] == 0)
                continue;
            writer.Write(bucket);
            writer.Write(MemoryMarshal.AsBytes(Row(_numbers[bucket])));
        }
    }

    /// <summary>Reads what was saved.</summary>
    /// <param name="reader">Stands before it.</param>
    /// <param name="keep">False: passes over it.</param>
    /// <exception cref="InvalidDataException">The numbers make no sense.</exception>
    public void Load(BinaryReader reader, bool keep = true)
    {
        Span<float> passed = keep ? [] : new float[experts + 1];
        var count = reader.ReadInt32();
        for (int i = 0, last = -1; i < count; i++)
        {
            var bucket = reader.ReadInt32();
            if (bucket <= last || bucket >= buckets)
                throw new InvalidDataException($"row {bucket} after {last}, of {buckets}");
            last = bucket;
            var row = keep ? Add(bucket) : passed;
            LinearGate.ReadWithin(reader, -LinearGate.MostWeight, LinearGate.MostWeight, row[..experts]);
            LinearGate.ReadWithin(reader, LinearGate.FirstSquare, LinearGate.MostSquare, row[experts..]);
        }
    }

    private Span<float> Row(int number) => _pages[(number - 1) / PageRows].AsSpan((number - 1) % PageRows * (experts + 1), experts + 1);

    private Span<float> Add(int bucket)
    {
        if (_count == 0)
            (_numbers, _pages) = (new int[buckets], new float[]?[((buckets - 1) / PageRows) + 1]);
        _pages[_count / PageRows] ??= new float[PageRows * (experts + 1)];
        var row = Row(_numbers[bucket] = ++_count);
        row[experts] = LinearGate.FirstSquare;
        return row;
    }
}
