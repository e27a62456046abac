using System.Numerics.Tensors;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Prediction;

/// <summary>What a predictor is for.</summary>
/// <param name="Layers">MoE layers.</param>
/// <param name="Experts">Experts of a layer.</param>
/// <param name="TopK">Experts of a token in a layer.</param>
/// <param name="Vocabulary">Token ids are below this.</param>
internal sealed record RoutingShape(int Layers, int Experts, int TopK, int Vocabulary);

/// <summary>
/// Predicts which experts later layers will use: the pre-gate with a learned correction (section on hybrid prediction
/// of ExpertFlow, arXiv 2510.26730, with a linear model in place of the random forest; docs/decisions says why). For
/// each pair of layers a logistic model reads the later gate applied to this layer's hidden state, this layer's own
/// gate, what the later layer used last, and the token. It begins as the bare pre-gate and learns online from the
/// routing that it is shown. Deterministic: the same calls give the same answers. Not sealed so that a study can put the
/// truth in its place.
/// </summary>
internal class RoutingPredictor
{
    /// <summary>Rows of a step that predictions are made of; more tokens than this are represented by a sample.</summary>
    public const int MostRows = 32;

    /// <summary>Rows of a step that are learned from, for each pair of layers.</summary>
    public const int LearnedRows = 4;

    /// <summary>Predictions that may wait to be learned from. Less than a load's time, all together.</summary>
    public const int MostPostponed = 64;

    private readonly RoutingShape _shape;

    /// <summary>What predicts, by source from -1 on and by distance from 1 on; null until it is asked for.</summary>
    private readonly Pair?[] _pairs;
    private readonly TokenMemory[] _memory, _memoryOfNext;

    /// <summary>By layer, the share of the tokens of the step before that used each expert; and what each of a few used, [tokens, top-k].</summary>
    private readonly float[][] _last;
    private readonly int[][] _lastOfEach;
    private readonly List<Pair>[] _predictedBy;
    private readonly Queue<Lesson> _postponed = new();

    /// <summary>Lessons that are over, for whichever pair needs one: kept by each pair, they would add up.</summary>
    private readonly Stack<Lesson> _spare = new();
    private readonly float[] _logits, _error, _own;
    private LayerRouting? _ownOf;
    private int[] _tokens = [];
    private long _step;

    public RoutingPredictor(RoutingShape shape)
    {
        _shape = shape;
        Buckets = PredictorMemory.Buckets(shape);
        _pairs = new Pair[(shape.Layers + 1) * shape.Layers];
        _memory = [.. Enumerable.Range(0, shape.Layers).Select(_ => new TokenMemory(Buckets, shape.Experts))];
        _memoryOfNext = [.. Enumerable.Range(0, shape.Layers).Select(_ => new TokenMemory(Buckets, shape.Experts))];
        _last = [.. Enumerable.Range(0, shape.Layers).Select(_ => new float[shape.Experts])];
        _lastOfEach = [.. Enumerable.Range(0, shape.Layers).Select(_ => Array.Empty<int>())];
        _predictedBy = [.. Enumerable.Range(0, shape.Layers).Select(_ => new List<Pair>())];
        (_logits, _error, _own) = (new float[shape.Experts], new float[shape.Experts], new float[MostRows * shape.Experts]);
    }

    public RoutingShape Shape => _shape;

    /// <summary>Steps that have begun.</summary>
    protected long Step => _step;

    /// <summary>Rows of a token memory.</summary>
    public int Buckets { get; }

    /// <summary>A step begins.</summary>
    public void Begin(ReadOnlySpan<int> tokens)
    {
        if (_tokens.Length != tokens.Length)
            _tokens = new int[tokens.Length];
        tokens.CopyTo(_tokens);
        _ownOf = null;
        _step++;
    }

    /// <summary>Learns from what a layer's router chose, for whoever predicted it.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="chosen">[tokens, top-k] experts.</param>
    /// <param name="postpone">
    /// Learn when <see cref="LearnPostponed"/> says, or at the next call that does not postpone. Of what has been postponed the
    /// last <see cref="MostPostponed"/> are kept.
    /// </param>
    public void Learn(int layer, ReadOnlySpan<int> chosen, bool postpone = false)
    {
        var rows = chosen.Length / _shape.TopK;
        foreach (var pair in _predictedBy[layer])
        {
            pair.Waits = false;
            if (pair.Lesson.Due != _step || pair.Lesson.Tokens != rows)
                continue;
            pair.Lesson.End(chosen);
            _postponed.Enqueue(pair.Lesson);
            pair.Lesson = _spare.TryPop(out var spare) ? spare : new Lesson(LearnedRows, _shape.TopK);
        }
        _predictedBy[layer].Clear();
        for (; postpone && _postponed.Count > MostPostponed; Forget())
        {
        }
        while (!postpone && LearnPostponed())
        {
        }
        Remember(layer, chosen, rows);
    }

    private void Remember(int layer, ReadOnlySpan<int> chosen, int rows)
    {
        var last = _last[layer];
        Array.Clear(last);
        foreach (var expert in chosen)
            last[expert] += 1f / rows;
        ref var each = ref _lastOfEach[layer];
        var kept = rows is > 1 and <= MostRows ? chosen.Length : 0;
        if (each.Length != kept)
            each = new int[kept];
        chosen[..kept].CopyTo(each);
    }

    /// <summary>Learns one of what has been postponed, the oldest first. False: there is nothing.</summary>
    public bool LearnPostponed()
    {
        if (_postponed.Count == 0)
            return false;
        Learn(_postponed.Peek());
        Forget();
        return true;
    }

    private void Forget() => _spare.Push(_postponed.Dequeue());

    /// <summary>
    /// Predicts a later layer from before the first layer (<paramref name="routing"/> null, source -1) or from a layer.
    /// </summary>
    /// <param name="routing">The source layer's routing.</param>
    /// <param name="distance">Layers from the source to the target, 1..Layers; past the last it is of the next step.</param>
    /// <param name="use">Receives each expert's probability of being used by at least one token.</param>
    public virtual void Predict(LayerRouting? routing, int distance, Span<float> use)
    {
        int source = routing?.Layer ?? -1, target = (source + distance) % _shape.Layers;
        var next = source + distance >= _shape.Layers;
        var pair = PairOf(source, distance);
        int tokens = _tokens.Length, rows = Math.Min(tokens, MostRows);
        Own(routing, tokens, rows);
        var lesson = pair.Lesson;
        lesson.Begin(pair.Model, next ? _memoryOfNext[target] : _memory[target], _step + (next ? 1 : 0), tokens);
        use.Clear();
        for (var i = 0; i < rows; i++)
        {
            var row = (int)((long)i * tokens / rows);
            // Rows that are not learned from leave what they wrote to the next.
            var learned = i * LearnedRows / rows != (i + 1) * LearnedRows / rows;
            var x = lesson.Row(row, _tokens[row], learned);
            Inputs(routing, distance, i, row, target, x);
            pair.Model.Run(x, _logits);
            lesson.Memory.AddTo(_tokens[row], _logits);
            if (tokens == 1)
                TensorPrimitives.Sigmoid<float>(_logits, use);
            else
                AddUse(use);
        }
        if (tokens > 1)
        {
            var weight = (float)BatchDiversity.EffectiveTokens(routing?.Gate, tokens) / rows;
            TensorPrimitives.Multiply(use, -weight, use);
            TensorPrimitives.Exp(use, use);
            TensorPrimitives.Subtract(1, use, use);
        }
        // Of a tiny number the exponential may come out above 1; and what is no number says nothing.
        TensorPrimitives.MaxNumber(use, 0, use);
        if (!pair.Waits)
            _predictedBy[target].Add(pair);
        pair.Waits = true;
    }

    /// <summary>-log(1 - p) of the logistic function, which is log(1 + e^x), summed: independent tokens.</summary>
    private void AddUse(Span<float> use)
    {
        TensorPrimitives.Exp<float>(_logits, _logits);
        TensorPrimitives.LogP1<float>(_logits, _logits);
        TensorPrimitives.Add(use, _logits, use);
    }

    public void Save(BinaryWriter writer)
    {
        var pairs = _pairs.Select((pair, index) => (Pair: pair, Source: (index / _shape.Layers) - 1, Distance: (index % _shape.Layers) + 1)).Where(pair => pair.Pair is not null).ToList();
        foreach (var number in new[] { _shape.Layers, _shape.Experts, _shape.TopK, _shape.Vocabulary, pairs.Count })
            writer.Write(number);
        foreach (var (pair, source, distance) in pairs)
        {
            writer.Write(source);
            writer.Write(distance);
            pair!.Model.Save(writer);
        }
        foreach (var memory in _memory.Concat(_memoryOfNext))
            memory.Save(writer);
    }

    /// <summary>What a saved predictor was made for, which comes first.</summary>
    public static RoutingShape LoadShape(BinaryReader reader) => new(reader.ReadInt32(), reader.ReadInt32(), reader.ReadInt32(), reader.ReadInt32());

    /// <summary>What follows the shape.</summary>
    /// <param name="reader">Stands behind the shape.</param>
    /// <param name="shape">The shape.</param>
    /// <param name="horizon">Layers ahead that will be asked for: what a layer says of those farther on would only take memory.</param>
    /// <exception cref="InvalidDataException">The numbers make no sense.</exception>
    public static RoutingPredictor Load(BinaryReader reader, RoutingShape shape, int horizon = int.MaxValue)
    {
        var predictor = new RoutingPredictor(shape);
        LinearGate? passed = null;
        var gates = reader.ReadInt32();
        for (var i = 0; i < gates; i++)
        {
            int source = reader.ReadInt32(), distance = reader.ReadInt32();
            if (source < -1 || source >= shape.Layers || distance < 1 || distance > shape.Layers)
                throw new InvalidDataException($"layer {source} and distance {distance} of {shape.Layers} layers");
            var model = source < 0 || distance <= horizon ? predictor.PairOf(source, distance).Model : passed ??= new LinearGate(3 * shape.Experts, shape.Experts);
            model.Load(reader);
        }
        foreach (var memory in predictor._memory)
            memory.Load(reader);
        // From the last layer a horizon reaches as many layers of the next step.
        for (var layer = 0; layer < shape.Layers; layer++)
            predictor._memoryOfNext[layer].Load(reader, layer < horizon);
        return predictor;
    }

    /// <summary>The later gate, the own gate, and what the target used last; before the first layer the last alone.</summary>
    private void Inputs(LayerRouting? routing, int distance, int sample, int row, int target, Span<float> x)
    {
        var n = _shape.Experts;
        if (routing is not null)
        {
            LogRatio(routing.Ahead[distance - 1].Probabilities.AsSpan(row * n, n), x[..n]);
            _own.AsSpan(sample * n, n).CopyTo(x[n..]);
        }
        Last(target, row, x[^n..]);
    }

    /// <summary>
    /// What a layer used in the step before. Where that had as many tokens, and no more than decode together, each was mostly of the
    /// same sequence as the one in its place now; otherwise all tokens have an equal share.
    /// </summary>
    private void Last(int target, int row, Span<float> x)
    {
        var each = _lastOfEach[target];
        if (_tokens.Length == 1 || each.Length != _tokens.Length * _shape.TopK)
        {
            _last[target].CopyTo(x);
            return;
        }
        x.Clear();
        foreach (var expert in each.AsSpan(row * _shape.TopK, _shape.TopK))
            x[expert] = 1;
    }

    /// <summary>A layer's own gate is an input of all predictions that are made in it.</summary>
    private void Own(LayerRouting? routing, int tokens, int rows)
    {
        if (routing is null || ReferenceEquals(_ownOf, routing))
            return;
        _ownOf = routing;
        var n = _shape.Experts;
        for (var i = 0; i < rows; i++)
            LogRatio(routing.Gate.AsSpan((int)((long)i * tokens / rows) * n, n), _own.AsSpan(i * n, n));
    }

    /// <summary>Logarithm of a probability over that of a fair choice, kept in bounds: what is no number would stay in the weights for good.</summary>
    private void LogRatio(ReadOnlySpan<float> probabilities, Span<float> x)
    {
        TensorPrimitives.MaxNumber(probabilities, 1e-7f, x);
        TensorPrimitives.Multiply(x, _shape.Experts, x);
        TensorPrimitives.Log(x, x);
    }

    private void Learn(Lesson lesson)
    {
        for (var i = 0; i < lesson.Count; i++)
        {
            var token = lesson.Token(i);
            // Not as it was predicted: there may have been other lessons since.
            lesson.Model.Run(lesson.Inputs(i), _error);
            lesson.Memory.AddTo(token, _error);
            TensorPrimitives.Sigmoid<float>(_error, _error);
            foreach (var expert in lesson.Chosen(i))
                _error[expert] -= 1;
            lesson.Model.Learn(lesson.Inputs(i), _error);
            lesson.Memory.Learn(token, _error);
        }
    }

    private Pair PairOf(int source, int distance)
    {
        ref var pair = ref _pairs[((source + 1) * _shape.Layers) + distance - 1];
        if (pair is not null)
            return pair;
        var n = _shape.Experts;
        var model = new LinearGate(source < 0 ? n : 3 * n, n);
        // The bare pre-gate: a probability of 1/n means the share top-k of n.
        model.Bias.Fill(MathF.Log(_shape.TopK / (float)Math.Max(1, n - _shape.TopK)));
        if (source >= 0)
        {
            for (var e = 0; e < n; e++)
                model.Weights(e)[e] = 1;
        }
        return pair = new Pair { Model = model, Lesson = new Lesson(LearnedRows, _shape.TopK) };
    }

    /// <summary>What predicts one layer from another.</summary>
    private sealed class Pair
    {
        public required LinearGate Model { get; init; }

        /// <summary>The last prediction.</summary>
        public required Lesson Lesson { get; set; }

        /// <summary>It is in the list of its layer.</summary>
        public bool Waits { get; set; }
    }
}
