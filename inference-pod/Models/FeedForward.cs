using Moebius.Inference.Kernels;
using static TorchSharp.torch;

namespace Moebius.Inference.Models;

/// <summary>What a layer adds after attention.</summary>
internal interface IFeedForward : IDisposable
{
    Tensor Forward(Tensor x);
}

/// <summary>down(act(gate(x)) * up(x)).</summary>
internal sealed unsafe class DenseFeedForward : IFeedForward
{
    private readonly TensorKernels _kernels;
    private readonly Activation _activation;
    private readonly LinearWeight _gate, _up, _down;

    public DenseFeedForward(TensorKernels kernels, WeightReader weights, string layer, DenseSpec spec, int hidden)
    {
        _kernels = kernels;
        _activation = spec.Activation;
        _gate = weights.Linear($"{layer}{spec.Prefix}.gate_proj", spec.Intermediate, hidden, spec.Bias);
        _up = weights.Linear($"{layer}{spec.Prefix}.up_proj", spec.Intermediate, hidden, spec.Bias);
        _down = weights.Linear($"{layer}{spec.Prefix}.down_proj", hidden, spec.Intermediate, spec.Bias);
    }

    public Tensor Forward(Tensor x)
    {
        var gate = _kernels.Linear(x, _gate);
        var up = _kernels.Linear(x, _up);
        TensorKernels.Gate(_activation, gate.Floats(), up.Floats(), (int)x.shape[0], _gate.Outputs);
        return _kernels.Linear(gate, _down);
    }

    public void Dispose()
    {
        _gate.Dispose();
        _up.Dispose();
        _down.Dispose();
    }
}
