namespace Moebius.Inference.Prediction;

/// <summary>What a routing trace is of.</summary>
/// <param name="Architecture">The model's <c>model_type</c>.</param>
/// <param name="Layers">MoE layers, 1..1024.</param>
/// <param name="Experts">Experts of a layer, 1..4096.</param>
/// <param name="TopK">Experts of a token in a layer, 1..Experts.</param>
/// <param name="Horizon">Layers ahead for which pre-gates were recorded, from 0 to <paramref name="Layers"/>.</param>
/// <param name="Vocabulary">Token ids are below this.</param>
/// <param name="ExpertBytes">Size of one expert.</param>
/// <param name="DenseBytes">Size of all other weights.</param>
internal sealed record TraceShape(string Architecture, int Layers, int Experts, int TopK, int Horizon, int Vocabulary, long ExpertBytes, long DenseBytes)
{
    /// <summary>Gate values of one token in one layer: its own gate, then one per layer ahead.</summary>
    public int GateValues => (Horizon + 1) * Experts;
}

/// <summary>
/// The routing of many tokens: for each token and MoE layer what the router chose, and the probabilities of the layer's
/// own gate and of later layers' gates on the same hidden state. It holds token ids, which a tokenizer turns back into
/// text: it is as confidential as the text.
/// </summary>
internal sealed class RoutingTrace
{
    /// <summary>Steps of the logarithm in which probabilities are kept: 16 to a factor of e, down to e^-15.9.</summary>
    private const float Resolution = 16;

    private static readonly float[] Probability = [.. Enumerable.Range(0, 256).Select(code => MathF.Exp(-code / Resolution))];

    /// <param name="shape">What it is of.</param>
    /// <param name="tokens">Token ids.</param>
    /// <param name="chosen">[tokens, layers, top-k].</param>
    /// <param name="gates">[tokens, layers, horizon + 1, experts], coded.</param>
    public RoutingTrace(TraceShape shape, int[] tokens, ushort[] chosen, byte[] gates)
    {
        (Shape, Tokens, Chosen, Gates) = (shape, tokens, chosen, gates);
        if (chosen.LongLength != (long)tokens.Length * shape.Layers * shape.TopK || gates.LongLength != (long)tokens.Length * shape.Layers * shape.GateValues)
            throw new ArgumentException("the arrays do not have the sizes that the shape says", nameof(shape));
    }

    public TraceShape Shape { get; }

    public int[] Tokens { get; }

    public ushort[] Chosen { get; }

    public byte[] Gates { get; }

    /// <summary>What the router chose, best first.</summary>
    public ReadOnlySpan<ushort> ChosenAt(int token, int layer) => Chosen.AsSpan((token * Shape.Layers + layer) * Shape.TopK, Shape.TopK);

    /// <summary>Decodes the gate that lies <paramref name="distance"/> layers ahead; 0 is the layer's own.</summary>
    public void GateAt(int token, int layer, int distance, Span<float> probabilities)
    {
        var coded = Gates.AsSpan((token * Shape.Layers + layer) * Shape.GateValues + distance * Shape.Experts, Shape.Experts);
        for (var e = 0; e < coded.Length; e++)
            probabilities[e] = Probability[coded[e]];
    }

    public static byte Code(float probability) =>
        (byte)Math.Clamp(MathF.Round(-MathF.Log(Math.Max(probability, 1e-30f)) * Resolution), 0, 255);

    /// <summary>The tokens [first, first + count) as a trace of their own.</summary>
    public RoutingTrace Slice(int first, int count)
    {
        int chosen = Shape.Layers * Shape.TopK, gates = Shape.Layers * Shape.GateValues;
        return new RoutingTrace(Shape, Tokens[first..(first + count)], Chosen[(first * chosen)..((first + count) * chosen)], Gates[(first * gates)..((first + count) * gates)]);
    }
}
