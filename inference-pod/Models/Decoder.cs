using System.Numerics.Tensors;
using Moebius.Inference.Experts;
using Moebius.Inference.Kernels;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Models;

/// <summary>Runs a decoder of any family, as its <see cref="DecoderSpec"/> says.</summary>
internal sealed unsafe class Decoder : ICausalModel
{
    /// <summary>Logits that are held beside the results, 8 MiB.</summary>
    private const int LogitsAtOnce = 2 << 20;

    private readonly DecoderSpec _spec;
    private readonly TensorKernels _kernels;
    private readonly ExpertStore _store;
    private readonly AttentionShape _kvShape;
    private readonly LinearWeight _embedding, _head;
    private readonly Layer[] _layers;
    private readonly Norm _norm;
    private readonly WeightMemory _memory;
    private readonly LogitRows _logits;
    private readonly KvBlocks _blocks;
    private readonly IDisposable _checkpoint;
    private readonly RoutingTap? _tap;
    private long _steps;
    private bool _disposed;

    public Decoder(DecoderSpec spec, ModelInfo info, TensorKernels kernels, WeightReader weights, ExpertStore store, IPrefetchPolicy? policy, Action<int>? layerLoaded)
    {
        _tap = policy is null ? null : new RoutingTap(policy, kernels, store);
        store.HandOver = kernels.Workers.TryHandOver;
        store.WhileWaiting = policy is null ? null : policy.WhileWaiting;
        (_spec, _kernels, _store, _memory, _checkpoint, Info) = (spec, kernels, store, weights.Memory, weights.Checkpoint, info);
        _logits = new LogitRows(spec.Vocabulary);
        _kvShape = KvShape(spec);
        _blocks = new KvBlocks(info.BlockBytes);
        _embedding = weights.Linear("model.embed_tokens", spec.Vocabulary, spec.Hidden);
        _layers = new Layer[spec.Layers];
        var moeLayer = 0;
        var buffers = new RoutingBuffers();
        for (var i = 0; i < spec.Layers; i++)
        {
            var name = $"model.layers.{i}.";
            _layers[i] = new Layer(
                new Norm(kernels, weights, name + "input_layernorm", spec),
                spec.Attention switch
                {
                    GroupedAttentionSpec grouped => new GroupedAttention(kernels, weights, spec, grouped, i),
                    LatentAttentionSpec latent => new LatentAttention(kernels, weights, spec, latent, i),
                    _ => throw new NotSupportedException(spec.Attention.GetType().Name),
                },
                new Norm(kernels, weights, name + "post_attention_layernorm", spec),
                spec.FeedForward[i] switch
                {
                    DenseSpec dense => new DenseFeedForward(kernels, weights, name, dense, spec.Hidden),
                    MoeSpec moe => new MoeFeedForward(kernels, weights, name, moe, spec.Hidden, store, moeLayer++, _tap, buffers),
                    _ => throw new NotSupportedException(spec.FeedForward[i].GetType().Name),
                });
            layerLoaded?.Invoke(i);
        }
        _norm = new Norm(kernels, weights, "model.norm", spec);
        if (spec.TiedEmbeddings)
            weights.CheckCopy("lm_head.weight", "model.embed_tokens.weight", _embedding);
        _head = spec.TiedEmbeddings && !spec.HeadBias ? _embedding
            : spec.TiedEmbeddings ? _embedding.With(weights.Vector("lm_head.bias", spec.Vocabulary))
            : weights.Linear("lm_head", spec.Vocabulary, spec.Hidden, spec.HeadBias);
    }

    public ModelInfo Info { get; }

    /// <summary>Times the parts of each step from now on; null: not any more.</summary>
    public StepProfile? Profile
    {
        get => _kernels.Profile;
        set => _kernels.Profile = value;
    }

    /// <summary>Bytes of the weights that are always in memory.</summary>
    public long DenseBytes => _memory.Bytes;

    /// <summary>Bytes of one routed expert in the fast tier.</summary>
    public long ExpertBytes => _store.Layout.Bytes;

    public ExpertStatistics Experts => _tap?.Complete(_store.Statistics) ?? _store.Statistics;

    /// <summary>The sizes of what a token stores, the same in all layers.</summary>
    public static AttentionShape KvShape(DecoderSpec spec) => spec.Attention switch
    {
        GroupedAttentionSpec grouped => GroupedAttention.Shape(grouped),
        LatentAttentionSpec latent => LatentAttention.Shape(latent),
        _ => throw new NotSupportedException(spec.Attention.GetType().Name),
    };

    public ISequenceKv CreateSequence() => new SequenceKv(this, _kvShape, _blocks, Info.BlockTokens, Info.KvSharedUpTo);

    public IReadOnlyList<float[]> Forward(IReadOnlyList<SequenceChunk> chunks)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        _kernels.Profile?.Begin();
        var step = Plan(chunks);
        var rows = step.Count == 0 ? 0 : step[^1].Offset + step[^1].Count;
        if (rows == 0)
            return [];
        _tap?.Begin([.. step.SelectMany(chunk => chunk.Tokens.ToArray())]);
        _kernels.Scratch.Reset();
        var x = Embed(step, rows);
        _kernels.Profile?.Mark(StepPart.Prepare);
        foreach (var layer in _layers)
            RunLayer(layer, x, step);
        var logits = Logits(x, chunks, step);
        foreach (var chunk in step)
            chunk.Kv.Commit(chunk.Tokens.Span);
        _kernels.Profile?.Mark(StepPart.Finish);
        return logits;
    }

    public void Return(IReadOnlyList<float[]> logits) => _logits.Return(logits);

    public void ForEach(int count, Action<int> body) => _kernels.Workers.Run(count, count * Workers.WorkPerThread, body);

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _store.Dispose();
        _kernels.Dispose();
        _blocks.Dispose();
        _memory.Dispose();
        _checkpoint.Dispose();
    }

    /// <summary>Checks the chunks and lays their tokens out in rows.</summary>
    private List<StepChunk> Plan(IReadOnlyList<SequenceChunk> chunks)
    {
        var step = new List<StepChunk>(chunks.Count);
        _steps++;
        var offset = 0;
        foreach (var chunk in chunks)
        {
            if (chunk.Kv is not SequenceKv kv || kv.Owner != this)
                throw new ArgumentException("a sequence of another model was given", nameof(chunks));
            if (kv.Step == _steps)
                throw new ArgumentException("a sequence has two chunks in one step; one is allowed", nameof(chunks));
            kv.Step = _steps;
            var count = chunk.Tokens.Length;
            if (count == 0)
                throw new ArgumentException("a chunk has no tokens; at least one is needed", nameof(chunks));
            if (kv.Length + count > Info.ContextLength)
                throw new ArgumentException($"{kv.Length} + {count} tokens do not fit the context of {Info.ContextLength}", nameof(chunks));
            if (chunk.Reading is { } reading && (reading.First < 0 || reading.Count < 1 || reading.First + reading.Count > count))
                throw new ArgumentException($"logits of {reading.Count} tokens from {reading.First} on are to be read in a chunk of {count}", nameof(chunks));
            foreach (var token in chunk.Tokens.Span)
            {
                if ((uint)token >= (uint)_spec.Vocabulary)
                    throw new ArgumentException($"token {token} is outside the vocabulary of {_spec.Vocabulary}", nameof(chunks));
            }
            var end = kv.Length + count;
            var whole = chunk.Prompt == 0 || _spec.Rope.RestartsBeyond is not null ? Math.Max(chunk.Prompt, end) : chunk.Prompt;
            var restart = _spec.Rope.RestartsBeyond is int limit && kv.Length > 0 && kv.RotatedFor <= limit != whole <= limit;
            var tokens = restart ? kv.TokensWith(chunk.Tokens.Span) : chunk.Tokens;
            var (cos, sin) = _spec.Rope.Angles(restart ? 0 : kv.Length, tokens.Length, whole);
            step.Add(new StepChunk(kv, offset, tokens.Length, tokens, count, cos, sin, whole));
            offset += tokens.Length;
        }
        // Only once every chunk is known to be good, so that a refused step changes nothing.
        foreach (var chunk in step)
        {
            if (chunk.New < chunk.Count)
                chunk.Kv.Truncate(0);
            chunk.Kv.Reserve(chunk.Count);
            chunk.Kv.RotatedFor = chunk.Whole;
        }
        return step;
    }

    private Rows Embed(List<StepChunk> step, int rows)
    {
        var x = _kernels.Take(rows, _spec.Hidden);
        var row = 0;
        foreach (var chunk in step)
        {
            foreach (var token in chunk.Tokens.Span)
            {
                _embedding.CopyRow(token, x.Span(row));
                if (_spec.EmbeddingMultiplier != 1)
                    TensorPrimitives.Multiply(x.Span(row), _spec.EmbeddingMultiplier, x.Span(row));
                row++;
            }
        }
        return x;
    }

    private void RunLayer(Layer layer, Rows x, List<StepChunk> step)
    {
        var mark = _kernels.Scratch.Mark();
        var delta = _kernels.Take(x.Count, x.Width);
        var part = _kernels.Scratch.Mark();
        var normed = layer.InputNorm.Forward(x);
        _kernels.Profile?.Mark(StepPart.Norms);
        layer.Attention.Forward(normed, step, delta);
        Add(x, delta);
        // What attention took is free for the experts.
        _kernels.Scratch.Release(part);
        normed = layer.PostNorm.Forward(x);
        _kernels.Profile?.Mark(StepPart.Norms);
        layer.FeedForward.Forward(normed, delta);
        Add(x, delta);
        _kernels.Profile?.Mark(StepPart.Norms);
        _kernels.Scratch.Release(mark);
    }

    private void Add(Rows x, Rows delta) => _kernels.ForRows(x.Count, x.Width, (from, to) =>
    {
        for (var row = from; row < to; row++)
        {
            if (_spec.ResidualMultiplier != 1)
                TensorPrimitives.Multiply(delta.Span(row), _spec.ResidualMultiplier, delta.Span(row));
            TensorPrimitives.Add(x.Span(row), delta.Span(row), x.Span(row));
        }
    });

    /// <summary>
    /// The wanted rows of all sequences pass the output head together, so that it is read once for them, but not more
    /// at a time than keeps their logits small.
    /// </summary>
    private float[][] Logits(Rows x, IReadOnlyList<SequenceChunk> chunks, List<StepChunk> step)
    {
        var results = new float[step.Count][];
        var wanted = new List<WantedRow>();
        for (var i = 0; i < step.Count; i++)
        {
            var (first, count) = chunks[i].Logits switch
            {
                LogitsFor.None => (0, 0),
                LogitsFor.Last => (step[i].Offset + step[i].Count - 1, 1),
                _ => (step[i].Offset + step[i].Count - step[i].New, step[i].New),
            };
            results[i] = count switch { 0 => [], 1 => _logits.Take(), _ => GC.AllocateUninitializedArray<float>(checked(count * _spec.Vocabulary)) };
            for (var row = 0; row < count; row++)
                wanted.Add(new WantedRow(first + row, results[i], row * _spec.Vocabulary));
            if (chunks[i].Reading is not { } reading)
                continue;
            for (var index = reading.First; index < reading.First + reading.Count; index++)
                wanted.Add(new WantedRow(step[i].Offset + step[i].Count - step[i].New + index, [], index, reading.Read));
        }
        var limit = Math.Clamp(LogitsAtOnce / _spec.Vocabulary, 16, 512);
        for (var at = 0; at < wanted.Count; at += limit)
        {
            var part = wanted.GetRange(at, Math.Min(limit, wanted.Count - at));
            var mark = _kernels.Scratch.Mark();
            var rows = _kernels.Take(part.Count, x.Width);
            for (var i = 0; i < part.Count; i++)
                x.Span(part[i].Row).CopyTo(rows.Span(i));
            var logits = _kernels.Linear(_norm.Forward(rows), _head);
            // In order over the threads, as tokens are chosen then: most of a row is in the cache of the thread that chooses from it.
            _kernels.ForRows(part.Count, _spec.Vocabulary, (from, until) =>
            {
                for (var i = from; i < until; i++)
                {
                    var (_, to, place, read) = part[i];
                    var result = read is null ? to.AsSpan(place, _spec.Vocabulary) : logits.Span(i);
                    if (_spec.LogitsDivisor != 1)
                        TensorPrimitives.Divide(logits.Span(i), _spec.LogitsDivisor, result);
                    else if (read is null)
                        logits.Span(i).CopyTo(result);
                    read?.Invoke(place, result);
                }
            });
            _kernels.Scratch.Release(mark);
        }
        _kernels.Profile?.Mark(StepPart.Head);
        return results;
    }

    /// <summary>A row whose logits are wanted.</summary>
    /// <param name="Row">Of the step.</param>
    /// <param name="To">Where they are copied.</param>
    /// <param name="Place">Where in it; of those that are read, the token's index in its chunk.</param>
    /// <param name="Read">Reads them; null: they are copied.</param>
    private readonly record struct WantedRow(int Row, float[] To, int Place, LogitReader? Read = null);

    private sealed record Layer(Norm InputNorm, IAttentionLayer Attention, Norm PostNorm, IFeedForward FeedForward);

    private sealed class Norm(TensorKernels kernels, WeightReader weights, string name, DecoderSpec spec)
    {
        private readonly WeightVector _weight = weights.Vector(name + ".weight", spec.Hidden);
        private readonly WeightVector? _bias = spec.LayerNorm ? weights.Vector(name + ".bias", spec.Hidden) : null;

        public Rows Forward(Rows x) => _bias is { } bias
            ? kernels.LayerNorm(x, _weight, bias, spec.NormEpsilon)
            : kernels.RmsNorm(x, _weight, spec.NormEpsilon);
    }
}
