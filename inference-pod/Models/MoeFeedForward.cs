using System.Numerics.Tensors;
using Moebius.Inference.Experts;
using Moebius.Inference.Kernels;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Moebius.Inference.Models;

/// <summary>
/// A mixture of experts over the <see cref="ExpertStore"/>. Experts that are resident run first, then the missing ones
/// in the order in which they arrive. The order changes nothing: each expert writes its rows to a place of its own, and a token's rows are
/// added in the order in which its router ranked them.
/// </summary>
internal sealed unsafe class MoeFeedForward : IFeedForward
{
    private readonly TensorKernels _kernels;
    private readonly MoeSpec _spec;
    private readonly ExpertStore _store;
    private readonly int _moeLayer;
    private readonly LinearWeight _router;
    private readonly Tensor? _correction;
    private readonly DenseFeedForward? _shared;
    private readonly LinearWeight? _sharedGate;
    private readonly RoutingTap? _tap;

    /// <param name="kernels">Operations.</param>
    /// <param name="weights">Dense weights.</param>
    /// <param name="layer">Prefix of the layer's names.</param>
    /// <param name="spec">The block.</param>
    /// <param name="hidden">Width.</param>
    /// <param name="store">Holds the experts.</param>
    /// <param name="moeLayer">Index among the MoE layers.</param>
    /// <param name="tap">Watches the routing; null for nobody.</param>
    public MoeFeedForward(TensorKernels kernels, WeightReader weights, string layer, MoeSpec spec, int hidden, ExpertStore store, int moeLayer, RoutingTap? tap)
    {
        (_kernels, _spec, _store, _moeLayer, _tap) = (kernels, spec, store, moeLayer, tap);
        _router = weights.Linear(layer + spec.RouterName, spec.Router.Experts, hidden, spec.RouterBias);
        _correction = spec.CorrectionName is null ? null : weights.Vector(layer + spec.CorrectionName, spec.Router.Experts);
        _shared = spec.Shared is null ? null : new DenseFeedForward(kernels, weights, layer, spec.Shared, hidden);
        _sharedGate = spec.SharedGateName is null ? null : weights.Linear(layer + spec.SharedGateName, 1, hidden);
        tap?.Add(_router);
    }

    public Tensor Forward(Tensor x)
    {
        int tokens = (int)x.shape[0], hidden = (int)x.shape[1], k = _spec.Router.TopK;
        int[] experts = new int[tokens * k];
        float[] weights = new float[tokens * k];
        float[]? scores = Route(x, experts, weights);
        var plan = ExpertPlan.Group(experts, _spec.Router.Experts);
        // Loads begin here; the rest of the layer's preparation runs while they do.
        using var use = _store.Use(_moeLayer, plan.Groups);
        _tap?.Routed(_moeLayer, x, scores!, experts, plan.Groups);

        var inputs = tokens == 1 ? null : TensorMemory.Empty((long)tokens * k, hidden);
        var gate = TensorMemory.Empty((long)tokens * k, _spec.Intermediate);
        var up = TensorMemory.Empty((long)tokens * k, _spec.Intermediate);
        var outputs = TensorMemory.Empty((long)tokens * k, hidden);
        var rows = new Rows(inputs is null ? x.Floats() : inputs.Floats(), inputs is null ? 0 : hidden, gate.Floats(), up.Floats(), outputs.Floats());
        if (inputs is not null)
            Gather(x.Floats(), inputs.Floats(), plan.Slots, k, hidden);
        RunAll(plan.Groups, use, rows, hidden);
        _tap?.Ran(_moeLayer, use.Missing);

        var y = torch.zeros([tokens, hidden], dtype: ScalarType.Float32);
        Combine(y.Floats(), outputs.Floats(), plan.RowOf, weights, tokens, k, hidden);
        if (_shared is not null)
            AddShared(x, y, tokens, hidden);
        return y;
    }

    public void Dispose()
    {
        _router.Dispose();
        _correction?.Dispose();
        _shared?.Dispose();
        _sharedGate?.Dispose();
    }

    /// <summary>Chooses experts. Returns the softmax of the gate where somebody watches.</summary>
    private float[]? Route(Tensor x, int[] experts, float[] weights)
    {
        int k = _spec.Router.TopK, n = _spec.Router.Experts;
        var scores = _kernels.Linear(x, _router);
        float[]? gate = _tap is null ? null : RoutingTap.Probabilities(scores);
        float* logits = scores.Floats();
        var correction = _correction is null ? default : new ReadOnlySpan<float>(_correction.Floats(), n);
        for (int t = 0; t < x.shape[0]; t++)
            Router.Route(_spec.Router, new Span<float>(logits + (nint)t * n, n), correction, experts.AsSpan(t * k, k), weights.AsSpan(t * k, k));
        return gate;
    }

    /// <summary>Runs the experts in the order in which they are there: the resident ones, then each as it arrives.</summary>
    private void RunAll(IReadOnlyList<ExpertGroup> groups, ExpertUse use, Rows rows, int hidden)
    {
        for (var ready = use.Next(); ready.Count > 0; ready = use.Next())
        {
            long work = ready.Sum(r => (long)groups[r.Group].Count) * 3 * hidden * _spec.Intermediate;
            if (ready.Count >= _kernels.Workers.Threads)
                _kernels.Workers.Run(ready.Count, work, i => Run(groups[ready[i].Group], (byte*)ready[i].Buffer, rows, hidden, split: false));
            else
                foreach (var (group, buffer) in ready)
                    Run(groups[group], (byte*)buffer, rows, hidden, split: true);
        }
    }

    /// <summary>One expert over its rows, on this thread or split over all.</summary>
    private void Run(ExpertGroup group, byte* buffer, Rows rows, int hidden, bool split)
    {
        var layout = _store.Layout;
        int width = _spec.Intermediate;
        float* x = rows.Inputs + group.First * rows.InputStride;
        float* gate = rows.Gate + (nint)group.First * width, up = rows.Up + (nint)group.First * width;
        Product(x, rows.InputStride, layout.Gate, layout.GateBias, gate, width, hidden);
        Product(x, rows.InputStride, layout.Up, layout.UpBias, up, width, hidden);
        TensorKernels.Gate(_spec.Activation, gate, up, group.Count, width);
        Product(gate, width, layout.Down, layout.DownBias, rows.Outputs + (nint)group.First * hidden, hidden, width);

        void Product(float* input, nint stride, long weight, long bias, float* output, int columns, int k)
        {
            float* b = layout.HasBiases ? (float*)(buffer + bias) : null;
            if (split)
                _kernels.Product(input, stride, buffer + weight, layout.Type, b, output, columns, group.Count, columns, k);
            else if (layout.Type == Checkpoints.TensorType.F32)
                MatrixProduct.Run<Float32Weights>(input, stride, buffer + weight, b, output, columns, group.Count, 0, columns, k);
            else
                MatrixProduct.Run<BFloat16Weights>(input, stride, buffer + weight, b, output, columns, group.Count, 0, columns, k);
        }
    }

    private static void Gather(float* x, float* inputs, int[] slots, int k, int hidden)
    {
        for (int row = 0; row < slots.Length; row++)
            new ReadOnlySpan<float>(x + (nint)(slots[row] / k) * hidden, hidden).CopyTo(new Span<float>(inputs + (nint)row * hidden, hidden));
    }

    private static void Combine(float* y, float* outputs, int[] rowOf, float[] weights, int tokens, int k, int hidden)
    {
        for (int slot = 0; slot < tokens * k; slot++)
        {
            var sum = new Span<float>(y + (nint)(slot / k) * hidden, hidden);
            TensorPrimitives.MultiplyAdd(new ReadOnlySpan<float>(outputs + (nint)rowOf[slot] * hidden, hidden), weights[slot], sum, sum);
        }
    }

    private void AddShared(Tensor x, Tensor y, int tokens, int hidden)
    {
        var shared = _shared!.Forward(x);
        if (_sharedGate is not null)
        {
            float* gate = _kernels.Linear(x, _sharedGate).Floats();
            for (int t = 0; t < tokens; t++)
            {
                var row = new Span<float>(shared.Floats() + (nint)t * hidden, hidden);
                TensorPrimitives.Multiply(row, 1 / (1 + MathF.Exp(-gate[t])), row);
            }
        }
        y.add_(shared);
    }

    /// <summary>Buffers whose row i belongs to slot Slots[i] of the plan.</summary>
    private readonly struct Rows(float* inputs, nint inputStride, float* gate, float* up, float* outputs)
    {
        public float* Inputs => inputs;

        public nint InputStride => inputStride;

        public float* Gate => gate;

        public float* Up => up;

        public float* Outputs => outputs;
    }
}
