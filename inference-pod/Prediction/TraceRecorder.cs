using System.Runtime.InteropServices;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Prediction;

/// <summary>
/// A policy that asks for every pre-gate, loads nothing and writes down what it sees. The caller names the sequences of
/// each step before it runs.
/// </summary>
/// <param name="horizon">Layers ahead to record, 0..64.</param>
internal sealed class TraceRecorder(int horizon) : IPrefetchPolicy
{
    private readonly List<TraceChunk> chunks = [];
    private readonly List<int> tokens = [];
    private readonly List<ushort[]> chosen = [];
    private readonly List<byte[]> gates = [];
    private int layers;
    private int experts;
    private int topK;
    private int first;
    private int step;

    public int Tokens => tokens.Count;

    public int Horizon(int layer) => horizon;

    /// <summary>Names the sequences of the step that just ran, in its order.</summary>
    public void EndStep(IReadOnlyList<(int Sequence, int Count)> parts)
    {
        var at = first;
        foreach (var (sequence, count) in parts)
        {
            chunks.Add(new TraceChunk(step, sequence, at, count));
            at += count;
        }

        if (at != tokens.Count)
            throw new InvalidOperationException($"the step had {tokens.Count - first} tokens; {at - first} were named");
        step++;
    }

    public IReadOnlyList<PrefetchRequest> Begin(ReadOnlySpan<int> step)
    {
        first = tokens.Count;
        tokens.AddRange(step);
        return [];
    }

    public IReadOnlyList<PrefetchRequest> Plan(LayerRouting routing)
    {
        layers = Math.Max(layers, routing.Layer + 1);
        experts = routing.Gate.Length / routing.Tokens;
        topK = routing.Chosen.Length / routing.Tokens;
        chosen.Add([.. routing.Chosen.Select(expert => checked((ushort)expert))]);
        var coded = new byte[routing.Tokens * (horizon + 1) * experts];
        for (var token = 0; token < routing.Tokens; token++)
        {
            var row = coded.AsSpan(token * (horizon + 1) * experts);
            Code(routing.Gate.AsSpan(token * experts, experts), row);
            for (var distance = 1; distance <= horizon; distance++)
                Code(routing.Ahead[distance - 1].Probabilities.AsSpan(token * experts, experts), row[(distance * experts)..]);
        }

        gates.Add(coded);
        return [];
    }

    public void Observe(PrefetchFeedback feedback)
    {
    }

    /// <summary>Everything recorded so far, with each token's layers together.</summary>
    /// <param name="architecture">The model's <c>model_type</c>.</param>
    /// <param name="vocabulary">Token ids are below this.</param>
    /// <param name="expertBytes">Size of one expert.</param>
    /// <param name="denseBytes">Size of all other weights.</param>
    public RoutingTrace Finish(string architecture, int vocabulary, long expertBytes, long denseBytes)
    {
        var shape = new TraceShape(architecture, layers, experts, topK, horizon, vocabulary, expertBytes, denseBytes);
        var allChosen = new ushort[(long)tokens.Count * layers * topK];
        var allGates = new byte[(long)tokens.Count * layers * shape.GateValues];
        foreach (var (index, at, count) in Steps())
        {
            for (var layer = 0; layer < layers; layer++)
            {
                for (var token = 0; token < count; token++)
                {
                    var to = ((at + token) * layers) + layer;
                    chosen[index + layer].AsSpan(token * topK, topK).CopyTo(allChosen.AsSpan(to * topK));
                    gates[index + layer].AsSpan(token * shape.GateValues, shape.GateValues).CopyTo(allGates.AsSpan(to * shape.GateValues));
                }
            }
        }

        return new RoutingTrace(shape, [.. chunks], [.. CollectionsMarshal.AsSpan(tokens)], allChosen, allGates);
    }

    private IEnumerable<(int Index, int First, int Count)> Steps()
    {
        var at = 0;
        for (var index = 0; index < chosen.Count; index += layers)
        {
            var count = chosen[index].Length / topK;
            yield return (index, at, count);
            at += count;
        }
    }

    private static void Code(ReadOnlySpan<float> probabilities, Span<byte> coded)
    {
        for (var e = 0; e < probabilities.Length; e++)
            coded[e] = RoutingTrace.Code(probabilities[e]);
    }
}
