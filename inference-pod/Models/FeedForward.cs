using Moebius.Inference.Kernels;

namespace Moebius.Inference.Models;

/// <summary>What a layer adds after attention.</summary>
internal interface IFeedForward
{
    /// <summary>Writes what is added to the residual for the normed rows <paramref name="x"/> to <paramref name="y"/>; x may be overwritten.</summary>
    void Forward(Rows x, Rows y);
}

/// <summary>down(act(gate(x)) * up(x)).</summary>
internal sealed unsafe class DenseFeedForward : IFeedForward
{
    private readonly TensorKernels _kernels;
    private readonly Activation _activation;
    private readonly GatedMatrices _matrices;
    private readonly int _width;

    public DenseFeedForward(TensorKernels kernels, WeightReader weights, string layer, DenseSpec spec, int hidden)
    {
        _kernels = kernels;
        _activation = spec.Activation;
        _width = spec.Intermediate;
        _matrices = new GatedMatrices(
            weights.Linear($"{layer}{spec.Prefix}.gate_proj", spec.Intermediate, hidden, spec.Bias).Rows,
            weights.Linear($"{layer}{spec.Prefix}.up_proj", spec.Intermediate, hidden, spec.Bias).Rows,
            weights.Linear($"{layer}{spec.Prefix}.down_proj", hidden, spec.Intermediate, spec.Bias).Rows);
    }

    public void Forward(Rows x, Rows y)
    {
        GatedExperts.Run(_kernels, _activation, new[] { new GatedWeights(_matrices, 0, x.Count) }, x, null, _width, y);
        _kernels.Profile?.Mark(StepPart.DenseFeedForward);
    }
}
