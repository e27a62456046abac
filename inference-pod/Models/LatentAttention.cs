using Moebius.Inference.Kernels;

namespace Moebius.Inference.Models;

/// <summary>
/// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1) in its absorbed form (section 2.1.2, end):
/// the up-projection of the keys is applied to the queries and that of the values to the result, so a token stores
/// only its compressed vector and its rotary key, shared by all heads, instead of keys and values of every head.
/// </summary>
internal sealed unsafe class LatentAttention : IAttentionLayer
{
    /// <summary>The up-projection, held in fp32 and in parts whatever it is stored as.</summary>
    public const string SplitWeight = "kv_b_proj.weight";

    /// <summary>The norms on the compressed vectors keep their own epsilon, whatever the configuration says.</summary>
    private const float InnerNormEpsilon = 1e-6f;

    private readonly TensorKernels _kernels;
    private readonly LatentAttentionSpec _spec;
    private readonly AttentionShape _shape;
    private readonly Rope _rope;
    private readonly int _layer;
    private readonly LinearWeight? _q, _qDown, _qUp;
    private readonly WeightVector? _qNorm;
    private readonly LinearWeight _kvDown, _o;
    private readonly WeightVector _kvNorm;
    private readonly LinearWeight[] _keyUp, _valueUp;

    public LatentAttention(TensorKernels kernels, WeightReader weights, DecoderSpec spec, LatentAttentionSpec attention, int layer)
    {
        (_kernels, _spec, _rope, _layer) = (kernels, attention, spec.Rope, layer);
        _shape = Shape(attention) with { Window = attention.Windows[layer] };
        var name = $"model.layers.{layer}.self_attn.";
        int nope = attention.NopeDim, value = attention.ValueDim, rank = attention.KvRank, heads = attention.Heads;
        var q = heads * (nope + attention.RopeDim);
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

        _keyUp = new LinearWeight[heads];
        _valueUp = new LinearWeight[heads];
        using var temporary = new WeightMemory();
        var up = weights.Matrix(name + SplitWeight, heads * (nope + value), rank, temporary);
        for (var h = 0; h < heads; h++)
        {
            float* keys = up + (nint)h * (nope + value) * rank, values = keys + (nint)nope * rank;
            _keyUp[h] = Turned(keys, nope, rank, weights.Memory);
            var bytes = (long)value * rank * sizeof(float);
            var kept = weights.Memory.Take(bytes);
            Buffer.MemoryCopy(values, kept, bytes, bytes);
            _valueUp[h] = new LinearWeight(kept, WeightFormat.Float32, value, rank);
        }
    }

    /// <summary>One key head for all queries: the compressed vector, which is the value too, then the rotary part.</summary>
    public static AttentionShape Shape(LatentAttentionSpec spec) =>
        new(spec.Heads, 1, spec.KvRank + spec.RopeDim, spec.KvRank, spec.Scale, null, ValuesInKeys: true);

    public void Forward(Rows x, IReadOnlyList<StepChunk> chunks, Rows y)
    {
        int heads = _spec.Heads, rank = _spec.KvRank, value = _spec.ValueDim;
        var q = _kernels.Take(x.Count, heads * (_spec.NopeDim + _spec.RopeDim));
        var kv = _kernels.Take(x.Count, _kvDown.Outputs);
        if (_q is not null)
        {
            _kernels.Products(x, new Product(_q, q), new Product(_kvDown, kv));
        }
        else
        {
            var down = _kernels.Take(x.Count, _qDown!.Outputs);
            _kernels.Products(x, new Product(_qDown, down), new Product(_kvDown, kv));
            _kernels.RmsNorm(down, down, _qNorm!.Value, InnerNormEpsilon);
            _kernels.Products(down, new Product(_qUp!, q));
        }
        _kernels.Profile?.Mark(StepPart.Projections);
        var sequences = new AttentionSequence[chunks.Count];
        for (var i = 0; i < sequences.Length; i++)
        {
            var chunk = chunks[i];
            sequences[i] = new AttentionSequence(chunk.Kv.Rows(_layer), chunk.Kv.Length, chunk.Offset, chunk.Count);
        }
        StepChunk.ForRows(_kernels, chunks, q.Width + kv.Width, (chunk, from, to) => Append(chunk, chunk.Kv.Rows(_layer), from, to, q, kv));
        var latentQ = _kernels.Take(x.Count, heads * _shape.KeyDim);
        var latent = _kernels.Take(x.Count, heads * rank);
        var values = _kernels.Take(x.Count, heads * value);
        _kernels.Workers.Run(heads, (long)x.Count * heads * rank * _spec.NopeDim, h => CompressQueries(h, q, latentQ));
        AttentionKernel.Run(_kernels.Workers, _shape, latentQ, sequences, null, latent);
        _kernels.Workers.Run(heads, (long)x.Count * heads * rank * value, h =>
            MatrixProduct.Run(latent.Data + (nint)h * rank, latent.Width, _valueUp[h].Rows, values.Data + (nint)h * value, values.Width, x.Count, 0, value, rank));
        _kernels.Profile?.Mark(StepPart.Attention);
        _kernels.Products(values, new Product(_o, y));
        _kernels.Profile?.Mark(StepPart.Projections);
    }

    /// <summary>Norms the compressed vectors of rows of a chunk, rotates, and stores what their tokens keep.</summary>
    private void Append(StepChunk chunk, KvRows rows, int from, int to, Rows q, Rows kv)
    {
        int rank = _spec.KvRank, nope = _spec.NopeDim, rope = _spec.RopeDim;
        fixed (float* cos = chunk.Cos, sin = chunk.Sin)
        {
            for (var t = from; t < to; t++)
            {
                var row = chunk.Offset + t;
                TensorKernels.RmsNorm(kv[row], kv[row], rank, _kvNorm.Data, rank, InnerNormEpsilon);
                Rotary.Rotate(q[row], _spec.Heads, nope + rope, nope, cos + t * _rope.Pairs, sin + t * _rope.Pairs, _rope.Pairs, _rope.Interleaved);
                Rotary.Rotate(kv[row], 1, rank + rope, rank, cos + t * _rope.Pairs, sin + t * _rope.Pairs, _rope.Pairs, _rope.Interleaved);
                chunk.Kv.Write(rows, chunk.Kv.Length + t, kv[row], null);
            }
        }
    }

    /// <summary>One head's queries against the compressed vectors: the up-projected part, then the rotary part as it is.</summary>
    private void CompressQueries(int head, Rows q, Rows latentQ)
    {
        int rank = _spec.KvRank, nope = _spec.NopeDim, rope = _spec.RopeDim;
        float* source = q.Data + head * (nope + rope), target = latentQ.Data + (nint)head * _shape.KeyDim;
        MatrixProduct.Run(source, q.Width, _keyUp[head].Rows, target, latentQ.Width, q.Count, 0, rank, nope);
        for (var t = 0; t < q.Count; t++)
            new ReadOnlySpan<float>(source + (nint)t * q.Width + nope, rope).CopyTo(new Span<float>(target + (nint)t * latentQ.Width + rank, rope));
    }

    /// <summary>The transpose of a matrix [rows, columns].</summary>
    private static LinearWeight Turned(float* matrix, int rows, int columns, WeightMemory memory)
    {
        var turned = (float*)memory.Take((long)rows * columns * sizeof(float));
        for (var row = 0; row < rows; row++)
        {
            for (var column = 0; column < columns; column++)
                turned[(nint)column * rows + row] = matrix[(nint)row * columns + column];
        }
        return new LinearWeight((byte*)turned, WeightFormat.Float32, columns, rows);
    }
}
