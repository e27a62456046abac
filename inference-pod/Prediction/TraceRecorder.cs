using System.Runtime.InteropServices;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Prediction;

/// <summary>
/// A policy that asks for every pre-gate, loads nothing and writes down what it sees.
/// </summary>
/// <param name="horizon">Layers ahead to record, from 0 to the number of layers.</param>
internal sealed class TraceRecorder(int horizon) : IPrefetchPolicy
{
    private readonly List<int> _tokens = [];
    private readonly List<ushort[]> _chosen = [];
    private readonly List<byte[]> _gates = [];
    private int _layers;
    private int _experts;
    private int _topK;

    public int Horizon(int layer) => horizon;

    public IReadOnlyList<PrefetchRequest> Begin(ReadOnlySpan<int> step)
    {
        _tokens.AddRange(step);
        return [];
    }

    public IReadOnlyList<PrefetchRequest> Plan(LayerRouting routing)
    {
        _layers = Math.Max(_layers, routing.Layer + 1);
        _experts = routing.Gate.Length / routing.Tokens;
        _topK = routing.Chosen.Length / routing.Tokens;
        _chosen.Add([.. routing.Chosen.Select(expert => checked((ushort)expert))]);
        var coded = new byte[routing.Tokens * (horizon + 1) * _experts];
        for (var token = 0; token < routing.Tokens; token++)
        {
            var row = coded.AsSpan(token * (horizon + 1) * _experts);
            Code(routing.Gate.AsSpan(token * _experts, _experts), row);
            for (var distance = 1; distance <= horizon; distance++)
                Code(routing.Ahead[distance - 1].Probabilities.AsSpan(token * _experts, _experts), row[(distance * _experts)..]);
        }

        _gates.Add(coded);
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
        var shape = new TraceShape(architecture, _layers, _experts, _topK, horizon, vocabulary, expertBytes, denseBytes);
        var allChosen = new ushort[(long)_tokens.Count * _layers * _topK];
        var allGates = new byte[(long)_tokens.Count * _layers * shape.GateValues];
        foreach (var (index, at, count) in Steps())
        {
            for (var layer = 0; layer < _layers; layer++)
            {
                for (var token = 0; token < count; token++)
                {
                    var to = ((at + token) * _layers) + layer;
                    _chosen[index + layer].AsSpan(token * _topK, _topK).CopyTo(allChosen.AsSpan(to * _topK));
                    _gates[index + layer].AsSpan(token * shape.GateValues, shape.GateValues).CopyTo(allGates.AsSpan(checked(to * shape.GateValues)));
                }
            }
        }

        return new RoutingTrace(shape, [.. CollectionsMarshal.AsSpan(_tokens)], allChosen, allGates);
    }

    private IEnumerable<(int Index, int First, int Count)> Steps()
    {
        var at = 0;
        for (var index = 0; index < _chosen.Count; index += _layers)
        {
            var count = _chosen[index].Length / _topK;
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
