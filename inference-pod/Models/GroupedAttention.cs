using System.Numerics.Tensors;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Models;

/// <summary>A layer that turns normed hidden states into what is added to the residual.</summary>
internal interface IAttentionLayer
{
    /// <summary>Appends the rows' keys and values to their sequences and writes what is added to the residual.</summary>
    void Forward(Rows x, IReadOnlyList<StepChunk> chunks, Rows y);
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
    private readonly WeightVector? _qNorm, _kNorm, _sinks;

    public GroupedAttention(TensorKernels kernels, WeightReader weights, DecoderSpec spec, GroupedAttentionSpec attention, int layer)
    {
        (_kernels, _spec, _rope, _epsilon, _layer) = (kernels, attention, spec.Rope, spec.NormEpsilon, layer);
        _shape = Shape(attention) with { Window = attention.Windows[layer] };
        var name = $"model.layers.{layer}.self_attn.";
        int q = attention.Heads * attention.HeadDim, kv = attention.KvHeads * attention.HeadDim;
        _q = weights.Linear(name + "q_proj", q, spec.Hidden, attention.InputBias);
        _k = weights.Linear(name + "k_proj", kv, spec.Hidden, attention.InputBias);
        _v = weights.Linear(name + "v_proj", kv, spec.Hidden, attention.InputBias);
        _o = weights.Linear(name + "o_proj", spec.Hidden, q, attention.OutputBias);
        if (attention.Norm != QueryKeyNorm.None)
        {
            var head = attention.Norm == QueryKeyNorm.Head;
            _qNorm = weights.Vector(name + "q_norm.weight", head ? attention.HeadDim : q);
            _kNorm = weights.Vector(name + "k_norm.weight", head ? attention.HeadDim : kv);
        }
        _sinks = attention.Sinks ? weights.Vector(name + "sinks", attention.Heads) : null;
    }

    /// <summary>The shape that decides what a token's keys and values take.</summary>
    public static AttentionShape Shape(GroupedAttentionSpec spec) =>
        new(spec.Heads, spec.KvHeads, spec.HeadDim, spec.HeadDim, spec.Scale, null, ValuesInKeys: false);

    public void Forward(Rows x, IReadOnlyList<StepChunk> chunks, Rows y)
    {
        var q = _kernels.Take(x.Count, _q.Outputs);
        var k = _kernels.Take(x.Count, _k.Outputs);
        var v = _kernels.Take(x.Count, _v.Outputs);
        _kernels.Products(x, new Product(_q, q), new Product(_k, k), new Product(_v, v));
        _kernels.Profile?.Mark(StepPart.Projections);
        var sequences = new AttentionSequence[chunks.Count];
        for (var i = 0; i < sequences.Length; i++)
        {
            var chunk = chunks[i];
            sequences[i] = new AttentionSequence(chunk.Kv.Rows(_layer), chunk.Kv.Length, chunk.Offset, chunk.Count);
        }
        StepChunk.ForRows(_kernels, chunks, q.Width + k.Width, (chunk, from, to) => Append(chunk, chunk.Kv.Rows(_layer), from, to, q, k, v));
        var attended = _kernels.Take(x.Count, _shape.Heads * _shape.ValueDim);
        AttentionKernel.Run(_kernels.Workers, _shape, q, sequences, _sinks is { } sinks ? sinks.Data : null, attended);
        _kernels.Profile?.Mark(StepPart.Attention);
        _kernels.Products(attended, new Product(_o, y));
        _kernels.Profile?.Mark(StepPart.Projections);
    }

    /// <summary>Norms, clips and rotates rows of a chunk and stores their keys and values.</summary>
    private void Append(StepChunk chunk, KvRows kv, int from, int to, Rows q, Rows k, Rows v)
    {
        fixed (float* cos = chunk.Cos, sin = chunk.Sin)
        {
            for (var t = from; t < to; t++)
            {
                var row = chunk.Offset + t;
                if (_qNorm is { } queryGain && _kNorm is { } keyGain)
                {
                    TensorKernels.RmsNorm(q[row], q[row], q.Width, queryGain.Data, queryGain.Length, _epsilon);
                    TensorKernels.RmsNorm(k[row], k[row], k.Width, keyGain.Data, keyGain.Length, _epsilon);
                }
                if (_spec.Clip is float clip)
                {
                    TensorPrimitives.Clamp(q.Span(row), -clip, clip, q.Span(row));
                    TensorPrimitives.Clamp(k.Span(row), -clip, clip, k.Span(row));
                    TensorPrimitives.Clamp(v.Span(row), -clip, clip, v.Span(row));
                }
                Rotary.Rotate(q[row], _shape.Heads, _shape.KeyDim, 0, cos + t * _rope.Pairs, sin + t * _rope.Pairs, _rope.Pairs, _rope.Interleaved);
                Rotary.Rotate(k[row], _shape.KvHeads, _shape.KeyDim, 0, cos + t * _rope.Pairs, sin + t * _rope.Pairs, _rope.Pairs, _rope.Interleaved);
                chunk.Kv.Write(kv, chunk.Kv.Length + t, k[row], v[row]);
            }
        }
    }
}
