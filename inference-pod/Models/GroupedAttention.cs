using Moebius.Inference.Kernels;
using static TorchSharp.torch;

namespace Moebius.Inference.Models;

/// <summary>A layer that turns normed hidden states into what is added to the residual.</summary>
internal interface IAttentionLayer : IDisposable
{
    Tensor Forward(Tensor x, IReadOnlyList<StepChunk> chunks);
}

/// <summary>Grouped-query attention with rotary positions.</summary>
internal sealed unsafe class GroupedAttention : IAttentionLayer
{
    private readonly TensorKernels _kernels;
    private readonly GroupedAttentionSpec _spec;
    private readonly AttentionShape _shape;
    private readonly Rope _rope;
    private readonly float _epsilon;
    private readonly int _layer;
    private readonly LinearWeight _q, _k, _v, _o;
    private readonly Tensor? _qNorm, _kNorm, _sinks;

    public GroupedAttention(TensorKernels kernels, WeightReader weights, DecoderSpec spec, GroupedAttentionSpec attention, int layer)
    {
        (_kernels, _spec, _rope, _epsilon, _layer) = (kernels, attention, spec.Rope, spec.NormEpsilon, layer);
        _shape = Shape(attention) with { Window = attention.Windows[layer] };
        string name = $"model.layers.{layer}.self_attn.";
        int q = attention.Heads * attention.HeadDim, kv = attention.KvHeads * attention.HeadDim;
        _q = weights.Linear(name + "q_proj", q, spec.Hidden, attention.InputBias);
        _k = weights.Linear(name + "k_proj", kv, spec.Hidden, attention.InputBias);
        _v = weights.Linear(name + "v_proj", kv, spec.Hidden, attention.InputBias);
        _o = weights.Linear(name + "o_proj", spec.Hidden, q, attention.OutputBias);
        if (attention.Norm != QueryKeyNorm.None)
        {
            bool head = attention.Norm == QueryKeyNorm.Head;
            _qNorm = weights.Vector(name + "q_norm.weight", head ? attention.HeadDim : q);
            _kNorm = weights.Vector(name + "k_norm.weight", head ? attention.HeadDim : kv);
        }
        _sinks = attention.Sinks ? weights.Vector(name + "sinks", attention.Heads) : null;
    }

    /// <summary>The shape that decides what a token's keys and values take.</summary>
    public static AttentionShape Shape(GroupedAttentionSpec spec) =>
        new(spec.Heads, spec.KvHeads, spec.HeadDim, spec.HeadDim, spec.Scale, null, ValuesInKeys: false);

    public Tensor Forward(Tensor x, IReadOnlyList<StepChunk> chunks)
    {
        var q = _kernels.Linear(x, _q);
        var k = _kernels.Linear(x, _k);
        var v = _kernels.Linear(x, _v);
        if (_qNorm is not null)
        {
            q = _kernels.RmsNorm(q, _qNorm, _epsilon);
            k = _kernels.RmsNorm(k, _kNorm!, _epsilon);
        }
        if (_spec.Clip is float clip)
        {
            q.clamp_(-clip, clip);
            k.clamp_(-clip, clip);
            v.clamp_(-clip, clip);
        }
        var y = TensorMemory.Empty(x.shape[0], (long)_shape.Heads * _shape.ValueDim);
        float* qs = q.Floats(), ks = k.Floats(), vs = v.Floats(), ys = y.Floats();
        float* sinks = _sinks is null ? null : _sinks.Floats();
        nint qRow = _shape.Heads * _shape.KeyDim, kvRow = _shape.KeyRow;
        foreach (var chunk in chunks)
        {
            float* chunkQ = qs + chunk.Offset * qRow, chunkK = ks + chunk.Offset * kvRow;
            TensorKernels.Rotate(chunkQ, qRow, chunk.Count, _shape.Heads, _shape.KeyDim, 0, chunk.Cos, chunk.Sin, _rope.Pairs, _rope.Interleaved);
            TensorKernels.Rotate(chunkK, kvRow, chunk.Count, _shape.KvHeads, _shape.KeyDim, 0, chunk.Cos, chunk.Sin, _rope.Pairs, _rope.Interleaved);
            var (keys, values) = chunk.Kv.Rows(_layer);
            chunk.Kv.Write(keys, _shape.KeyRow, chunkK, kvRow, chunk.Count);
            chunk.Kv.Write(values, _shape.ValueRow, vs + chunk.Offset * kvRow, kvRow, chunk.Count);
            AttentionKernel.Run(_kernels.Workers, _shape, chunkQ, keys, values, chunk.Kv.BlockTokens, chunk.Kv.Length, chunk.Count, sinks, ys + (nint)chunk.Offset * _shape.Heads * _shape.ValueDim);
        }
        return _kernels.Linear(y, _o);
    }

    public void Dispose()
    {
        foreach (IDisposable? weight in new IDisposable?[] { _q, _k, _v, _o, _qNorm, _kNorm, _sinks })
            weight?.Dispose();
    }
}
