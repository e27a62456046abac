using Moebius.Inference.Kernels;
using static TorchSharp.torch;

namespace Moebius.Inference.Models;

/// <summary>
/// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1) in its absorbed form (section 2.1.2, end):
/// the up-projection of the keys is applied to the queries and that of the values to the result, so a token stores
/// only its compressed vector and its rotary key, shared by all heads, instead of keys and values of every head.
/// </summary>
internal sealed unsafe class LatentAttention : IAttentionLayer
{
    private readonly TensorKernels _kernels;
    private readonly LatentAttentionSpec _spec;
    private readonly AttentionShape _shape;
    private readonly Rope _rope;
    private readonly int _layer;
    private readonly LinearWeight? _q, _qDown, _qUp;
    private readonly Tensor? _qNorm;
    private readonly LinearWeight _kvDown, _o;
    private readonly Tensor _kvNorm;
    private readonly LinearWeight[] _keyUp, _valueUp;

    public LatentAttention(TensorKernels kernels, WeightReader weights, DecoderSpec spec, LatentAttentionSpec attention, int layer)
    {
        (_kernels, _spec, _rope, _layer) = (kernels, attention, spec.Rope, layer);
        _shape = Shape(attention) with { Window = attention.Windows[layer] };
        string name = $"model.layers.{layer}.self_attn.";
        int nope = attention.NopeDim, value = attention.ValueDim, rank = attention.KvRank, heads = attention.Heads;
        int q = heads * (nope + attention.RopeDim);
        if (attention.QueryRank is int queryRank)
        {
            _qDown = weights.Linear(name + "q_a_proj", queryRank, spec.Hidden, attention.Bias);
            _qNorm = weights.Vector(name + "q_a_layernorm.weight", queryRank);
            _qUp = weights.Linear(name + "q_b_proj", q, queryRank);
        }
        else
        {
            _q = weights.Linear(name + "q_proj", q, spec.Hidden);
        }
        _kvDown = weights.Linear(name + "kv_a_proj_with_mqa", rank + attention.RopeDim, spec.Hidden, attention.Bias);
        _kvNorm = weights.Vector(name + "kv_a_layernorm.weight", rank);
        _o = weights.Linear(name + "o_proj", spec.Hidden, heads * value, attention.Bias);

        using var up = weights.Matrix(name + "kv_b_proj.weight", heads * (nope + value), rank);
        _keyUp = new LinearWeight[heads];
        _valueUp = new LinearWeight[heads];
        for (int h = 0; h < heads; h++)
        {
            using var rows = up.narrow(0, (long)h * (nope + value), nope);
            using var turned = rows.t();
            _keyUp[h] = new LinearWeight(turned.contiguous(), null);
            using var valueRows = up.narrow(0, (long)h * (nope + value) + nope, value);
            _valueUp[h] = new LinearWeight(valueRows.clone(), null);
        }
    }

    /// <summary>One key head for all queries: the compressed vector, which is the value too, then the rotary part.</summary>
    public static AttentionShape Shape(LatentAttentionSpec spec) =>
        new(spec.Heads, 1, spec.KvRank + spec.RopeDim, spec.KvRank, spec.Scale, null, ValuesInKeys: true);

    public Tensor Forward(Tensor x, IReadOnlyList<StepChunk> chunks)
    {
        int rows = (int)x.shape[0], heads = _spec.Heads, rank = _spec.KvRank, nope = _spec.NopeDim, rope = _spec.RopeDim;
        var q = _q is not null
            ? _kernels.Linear(x, _q)
            : _kernels.Linear(_kernels.RmsNorm(_kernels.Linear(x, _qDown!), _qNorm!, _spec.InnerNormEpsilon), _qUp!);
        var kv = _kernels.Linear(x, _kvDown);
        var latentQ = TensorMemory.Empty(rows, (long)heads * _shape.KeyDim);
        var latent = TensorMemory.Empty(rows, (long)heads * rank);
        var y = TensorMemory.Empty(rows, (long)heads * _spec.ValueDim);
        float* qs = q.Floats(), kvs = kv.Floats(), lq = latentQ.Floats(), ls = latent.Floats(), ys = y.Floats();
        nint qRow = heads * (nope + rope), kvRow = rank + rope, lqRow = heads * _shape.KeyDim, lRow = heads * rank, yRow = heads * _spec.ValueDim;

        for (int t = 0; t < rows; t++)
            _kernels.RmsNorm(kvs + t * kvRow, kvs + t * kvRow, rank, _kvNorm, _spec.InnerNormEpsilon);
        foreach (var chunk in chunks)
        {
            TensorKernels.Rotate(qs + chunk.Offset * qRow, qRow, chunk.Count, heads, nope + rope, nope, chunk.Cos, chunk.Sin, _rope.Pairs, _rope.Interleaved);
            TensorKernels.Rotate(kvs + chunk.Offset * kvRow, kvRow, chunk.Count, 1, rank + rope, rank, chunk.Cos, chunk.Sin, _rope.Pairs, _rope.Interleaved);
        }
        for (int h = 0; h < heads; h++)
        {
            float* source = qs + h * (nope + rope), target = lq + (nint)h * _shape.KeyDim;
            _kernels.Linear(source, qRow, _keyUp[h], target, lqRow, rows);
            for (int t = 0; t < rows; t++)
                new ReadOnlySpan<float>(source + t * qRow + nope, rope).CopyTo(new Span<float>(target + t * lqRow + rank, rope));
        }
        foreach (var chunk in chunks)
        {
            var (keys, values) = chunk.Kv.Rows(_layer);
            chunk.Kv.Write(keys, _shape.KeyRow, kvs + chunk.Offset * kvRow, kvRow, chunk.Count);
            AttentionKernel.Run(_kernels.Workers, _shape, lq + chunk.Offset * lqRow, keys, values, chunk.Kv.BlockTokens, chunk.Kv.Length, chunk.Count, null, ls + chunk.Offset * lRow);
        }
        for (int h = 0; h < heads; h++)
            _kernels.Linear(ls + (nint)h * rank, lRow, _valueUp[h], ys + h * _spec.ValueDim, yRow, rows);
        return _kernels.Linear(y, _o);
    }

    public void Dispose()
    {
        foreach (IDisposable? weight in new IDisposable?[] { _q, _qDown, _qUp, _qNorm, _kvDown, _kvNorm, _o })
            weight?.Dispose();
        foreach (var weight in _keyUp.Concat(_valueUp))
            weight.Dispose();
    }
}
