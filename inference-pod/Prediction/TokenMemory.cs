using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Moebius.Inference.Prediction;

/// <summary>
/// What a token id says of the experts of one layer: a row of logits for each id, or for each bucket of ids when the
/// vocabulary is large. Rows share one learning rate each (AdaGrad over the row's mean square).
/// </summary>
internal sealed class TokenMemory(int buckets, int experts)
{
    private const float Rate = 0.25f;

    private readonly float[] _rows = new float[buckets * experts];
    private readonly float[] _squares = LinearGate.Filled(buckets);

    /// <summary>Adds the logits of a token to <paramref name="logits"/>.</summary>
    public void AddTo(int token, Span<float> logits) => TensorPrimitives.Add(logits, Row(token % buckets), logits);

    /// <summary>One step down the gradient.</summary>
    /// <param name="token">Token id.</param>
    /// <param name="error">Predicted probability minus truth, one per expert.</param>
    public void Learn(int token, ReadOnlySpan<float> error)
    {
        int bucket = token % buckets;
        ref float square = ref _squares[bucket];
        square += TensorPrimitives.SumOfSquares(error) / experts;
        TensorPrimitives.MultiplyAdd(error, -Rate / MathF.Sqrt(square), Row(bucket), Row(bucket));
    }

    public void Save(BinaryWriter writer)
    {
        writer.Write(MemoryMarshal.AsBytes<float>(_rows));
        writer.Write(MemoryMarshal.AsBytes<float>(_squares));
    }

    public void Load(BinaryReader reader)
    {
        LinearGate.ReadFinite(reader, _rows);
        LinearGate.ReadFinite(reader, _squares);
    }

    private Span<float> Row(int bucket) => _rows.AsSpan(bucket * experts, experts);
}
