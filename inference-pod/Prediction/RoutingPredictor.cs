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
/// routing that it is shown. Deterministic: the same calls give the same answers.
/// </summary>
internal sealed class RoutingPredictor
{
    /// <summary>Rows of a step that predictions are made of; more tokens than this are represented by a sample.</summary>
    private const int MostRows = 32;

    /// <summary>Rows of a step that are learned from, for each pair of layers.</summary>
    private const int LearnedRows = 4;

    /// <summary>Bytes of all token memories together.</summary>
    private const long MemoryBytes = 64L << 20;

    private readonly RoutingShape _shape;
    private readonly Dictionary<(int Source, int Distance), LinearGate> _gates = [];
    private readonly TokenMemory[] _memory, _memoryOfNext;
    private readonly float[][] _last;
    private readonly List<Lesson>[] _lessons;
    private readonly float[] _logits, _error, _inputs;
    private int[] _tokens = [];
    private long _step;

    public RoutingPredictor(RoutingShape shape)
    {
        _shape = shape;
        Buckets = (int)Math.Clamp(MemoryBytes / 2 / sizeof(float) / shape.Layers / shape.Experts, 1, shape.Vocabulary);
        _memory = [.. Enumerable.Range(0, shape.Layers).Select(_ => new TokenMemory(Buckets, shape.Experts))];
        _memoryOfNext = [.. Enumerable.Range(0, shape.Layers).Select(_ => new TokenMemory(Buckets, shape.Experts))];
        _last = [.. Enumerable.Range(0, shape.Layers).Select(_ => new float[shape.Experts])];
        _lessons = [.. Enumerable.Range(0, shape.Layers).Select(_ => new List<Lesson>())];
        (_logits, _error, _inputs) = (new float[shape.Experts], new float[shape.Experts], new float[1 + 3 * shape.Experts]);
    }

    public RoutingShape Shape => _shape;

    /// <summary>Rows of a token memory.</summary>
    public int Buckets { get; }

    /// <summary>A step begins.</summary>
    public void Begin(ReadOnlySpan<int> tokens)
    {
        _tokens = tokens.ToArray();
        _step++;
    }

    /// <summary>Learns from what a layer's router chose, for whoever predicted it.</summary>
    public void Learn(int layer, ReadOnlySpan<int> chosen)
    {
        int rows = chosen.Length / _shape.TopK;
        foreach (var lesson in _lessons[layer])
        {
            if (lesson.Due == _step && lesson.Tokens == rows)
                Learn(lesson, chosen);
        }
        _lessons[layer].Clear();
        var last = _last[layer];
        Array.Clear(last);
        foreach (int expert in chosen)
            last[expert] += 1f / rows;
    }

    /// <summary>
    /// Predicts a later layer from before the first layer (<paramref name="routing"/> null, source -1) or from a layer.
    /// </summary>
    /// <param name="routing">The source layer's routing.</param>
    /// <param name="distance">Layers from the source to the target, 1..Layers; past the last it is of the next step.</param>
    /// <param name="use">Receives each expert's probability of being used by at least one token.</param>
    public void Predict(LayerRouting? routing, int distance, Span<float> use)
    {
        int source = routing?.Layer ?? -1, target = (source + distance) % _shape.Layers;
        bool next = source + distance >= _shape.Layers;
        var model = Gate(source, distance);
        int tokens = _tokens.Length, rows = Math.Min(tokens, MostRows);
        var lesson = new Lesson(model, next ? _memoryOfNext[target] : _memory[target], _step + (next ? 1 : 0), tokens);
        var x = _inputs.AsSpan(0, model.Inputs);
        use.Clear();
        for (int i = 0; i < rows; i++)
        {
            int row = (int)((long)i * tokens / rows);
            Inputs(routing, distance, row, target, x);
            Logits(lesson, x, _tokens[row]);
            if (i * LearnedRows / rows != (i + 1) * LearnedRows / rows || rows <= LearnedRows)
                lesson.Rows.Add((row, _tokens[row], [.. x]));
            // -log(1 - p) of the logistic function, which is log(1 + e^x), summed: independent tokens.
            TensorPrimitives.Exp(_logits, _logits);
            TensorPrimitives.LogP1(_logits, _logits);
            TensorPrimitives.Add(use, _logits, use);
        }
        float weight = (float)BatchDiversity.EffectiveTokens(routing?.Gate, tokens) / rows;
        TensorPrimitives.Multiply(use, -weight, use);
        TensorPrimitives.Exp(use, use);
        TensorPrimitives.Subtract(1, use, use);
        _lessons[target].Add(lesson);
    }

    public void Save(BinaryWriter writer)
    {
        foreach (int number in new[] { _shape.Layers, _shape.Experts, _shape.TopK, _shape.Vocabulary, _gates.Count })
            writer.Write(number);
        foreach (var ((source, distance), gate) in _gates.OrderBy(g => g.Key))
        {
            writer.Write(source);
            writer.Write(distance);
            gate.Save(writer);
        }
        foreach (var memory in _memory.Concat(_memoryOfNext))
            memory.Save(writer);
    }

    /// <exception cref="InvalidDataException">The numbers make no sense.</exception>
    public static RoutingPredictor Load(BinaryReader reader)
    {
        var shape = new RoutingShape(reader.ReadInt32(), reader.ReadInt32(), reader.ReadInt32(), reader.ReadInt32());
        if (shape.Layers is < 1 or > ushort.MaxValue || shape.Experts is < 1 or > ushort.MaxValue || shape.TopK < 1 || shape.TopK > shape.Experts || shape.Vocabulary < 1)
            throw new InvalidDataException($"shape {shape}");
        var predictor = new RoutingPredictor(shape);
        int gates = reader.ReadInt32();
        for (int i = 0; i < gates; i++)
        {
            int source = reader.ReadInt32(), distance = reader.ReadInt32();
            if (source < -1 || source >= shape.Layers || distance < 1 || distance > shape.Layers)
                throw new InvalidDataException($"layer {source} and distance {distance} of {shape.Layers} layers");
            predictor.Gate(source, distance).Load(reader);
        }
        foreach (var memory in predictor._memory.Concat(predictor._memoryOfNext))
            memory.Load(reader);
        return predictor;
    }

    /// <summary>1, then the later gate, the own gate, and what the target used last.</summary>
    private void Inputs(LayerRouting? routing, int distance, int row, int target, Span<float> x)
    {
        int n = _shape.Experts;
        x[0] = 1;
        if (routing is not null)
        {
            LogRatio(routing.Ahead[distance - 1].Probabilities.AsSpan(row * n, n), x.Slice(1, n));
            LogRatio(routing.Gate.AsSpan(row * n, n), x.Slice(1 + n, n));
        }
        _last[target].CopyTo(x[^n..]);
    }

    /// <summary>Logarithm of a probability over that of a fair choice, kept in bounds.</summary>
    private void LogRatio(ReadOnlySpan<float> probabilities, Span<float> x)
    {
        TensorPrimitives.Max(probabilities, 1e-7f, x);
        TensorPrimitives.Multiply(x, _shape.Experts, x);
        TensorPrimitives.Log(x, x);
    }

    private void Logits(Lesson lesson, ReadOnlySpan<float> x, int token)
    {
        Array.Clear(_logits);
        lesson.Model.AddTo(x, _logits);
        lesson.Memory.AddTo(token, _logits);
    }

    private void Learn(Lesson lesson, ReadOnlySpan<int> chosen)
    {
        foreach (var (row, token, x) in lesson.Rows)
        {
            Logits(lesson, x, token);
            TensorPrimitives.Sigmoid(_logits, _error);
            foreach (int expert in chosen.Slice(row * _shape.TopK, _shape.TopK))
                _error[expert] -= 1;
            lesson.Model.Learn(x, _error);
            lesson.Memory.Learn(token, _error);
        }
    }

    private LinearGate Gate(int source, int distance)
    {
        if (_gates.TryGetValue((source, distance), out var gate))
            return gate;
        int n = _shape.Experts;
        gate = new LinearGate(source < 0 ? 1 + n : 1 + 3 * n, n);
        // The bare pre-gate: a probability of 1/n means the share top-k of n.
        float fair = MathF.Log(_shape.TopK / (float)Math.Max(1, n - _shape.TopK));
        for (int e = 0; e < n; e++)
        {
            gate.Weights(e)[0] = fair;
            if (source >= 0)
                gate.Weights(e)[1 + e] = 1;
        }
        return _gates[(source, distance)] = gate;
    }

    /// <summary>A prediction that waits for the truth.</summary>
    private sealed record Lesson(LinearGate Model, TokenMemory Memory, long Due, int Tokens)
    {
        public List<(int Row, int Token, float[] Inputs)> Rows { get; } = [];
    }
}
