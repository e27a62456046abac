using System.Numerics.Tensors;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Models;

/// <summary>
/// Where the experts of a layer write. Each writes the rows of its tokens to a place of its own, because a token's rows are added in its
/// router's order and not in the order in which experts run. For a long prompt that is much memory: then only what is narrower
/// than these rows, act(gate(x)) * up(x), is kept for all of them, and the product with down is made a tile of columns at a time.
/// Every element is the same sum of the same products either way.
/// </summary>
internal sealed unsafe class ExpertTiles
{
    private readonly TensorKernels _kernels;
    private readonly Activation _activation;
    private readonly int _width;
    private readonly Rows _x, _y, _inner, _tile;
    private readonly List<GatedWeights> _experts = [];

    private ExpertTiles(TensorKernels kernels, Activation activation, int slots, int width, int columns, Rows x, Rows y, bool inPlace)
    {
        (_kernels, _activation, _width, _x, _y) = (kernels, activation, width, x, y);
        _inner = kernels.Take(slots, GatedExperts.Padded(width));
        // When tiles begin, nobody reads x any more.
        _tile = inPlace && (long)x.Count * x.Width >= (long)slots * columns ? new Rows(x.Data, slots, columns) : kernels.Take(slots, columns);
    }

    /// <summary>Tiles for a layer of a step, or null where all rows at once are no more than a tile or tiles would save little.</summary>
    /// <param name="kernels">Threads and memory.</param>
    /// <param name="activation">Of the gate.</param>
    /// <param name="slots">Rows of all experts.</param>
    /// <param name="width">Rows of gate and up.</param>
    /// <param name="x">Inputs [tokens, hidden].</param>
    /// <param name="y">Receives the sums, [tokens, hidden]; until then it is used for other results.</param>
    /// <param name="inPlace">x may be overwritten at the end.</param>
    public static ExpertTiles? For(TensorKernels kernels, Activation activation, int slots, int width, Rows x, Rows y, bool inPlace) =>
        Columns(kernels.ExpertTileBytes, slots, x.Width, width) is var columns and > 0 ? new ExpertTiles(kernels, activation, slots, width, columns, x, y, inPlace) : null;

    /// <summary>Columns of a tile; 0 for no tiles, which must save a quarter of the memory.</summary>
    public static int Columns(int tileBytes, int slots, int hidden, int width)
    {
        var columns = Math.Max(tileBytes / sizeof(float) / slots / GatedExperts.Grain, 1) * GatedExperts.Grain;
        return columns < hidden && 4L * (GatedExperts.Padded(width) + columns) <= 3L * hidden ? columns : 0;
    }

    /// <summary>Runs gate and up of some experts, whose weights stay where they are until <see cref="Combine"/> has returned.</summary>
    /// <param name="experts">The experts.</param>
    /// <param name="index">For each row of the step's experts, its row of x.</param>
    public void Activate(ReadOnlyMemory<GatedWeights> experts, int* index)
    {
        _experts.AddRange(experts.Span);
        GatedExperts.Activate(_kernels, _activation, experts, _x, index, _width, _inner, _y);
    }

    /// <summary>For each token the weighted sum of its experts' rows, all of which have been given to <see cref="Activate"/>.</summary>
    /// <param name="rowOf">For each (token, choice) slot, its row.</param>
    /// <param name="weights">For each slot, the weight of its row.</param>
    /// <param name="k">Slots of a token.</param>
    public void Combine(int[] rowOf, float[] weights, int k)
    {
        GatedWeights[] experts = [.. _experts];
        for (var first = 0; first < _y.Width; first += _tile.Width)
        {
            var tile = new Rows(_tile.Data, _tile.Count, Math.Min(_tile.Width, _y.Width - first));
            GatedExperts.Down(_kernels, experts, _width, _inner, first, tile);
            _kernels.Profile?.Mark(StepPart.Experts);
            Sum(_kernels, _y, first, tile, rowOf, weights, k);
            _kernels.Profile?.Mark(StepPart.Combine);
        }
    }

    /// <summary>The same sums over rows, or columns of rows, that are there.</summary>
    /// <param name="kernels">Threads.</param>
    /// <param name="y">Receives the sums.</param>
    /// <param name="first">The first column of y that is computed; as many are as <paramref name="outputs"/> has.</param>
    /// <param name="outputs">Rows of the experts.</param>
    /// <param name="rowOf">For each (token, choice) slot, its row.</param>
    /// <param name="weights">For each slot, the weight of its row.</param>
    /// <param name="k">Slots of a token.</param>
    public static void Sum(TensorKernels kernels, Rows y, int first, Rows outputs, int[] rowOf, float[] weights, int k) => kernels.ForRows(y.Count, (long)outputs.Width * k, (from, to) =>
    {
        for (var token = from; token < to; token++)
        {
            var sum = y.Span(token).Slice(first, outputs.Width);
            sum.Clear();
            for (var slot = token * k; slot < (token + 1) * k; slot++)
                TensorPrimitives.MultiplyAdd(outputs.Span(rowOf[slot]), weights[slot], sum, sum);
        }
    });
}
