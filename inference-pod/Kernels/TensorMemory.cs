using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Moebius.Inference.Kernels;

/// <summary>Direct access to the memory of contiguous CPU tensors.</summary>
internal static unsafe class TensorMemory
{
    public static Tensor Empty(params ReadOnlySpan<long> shape) => torch.empty(shape, dtype: ScalarType.Float32);

    /// <summary>Address of the first element; valid while the tensor lives.</summary>
    public static byte* Address(this Tensor tensor)
    {
        if (tensor.numel() == 0)
            return null;
        // Only the first element is spanned: a whole tensor may exceed the two gigabytes of a span.
        using var first = tensor.flatten().narrow(0, 0, 1);
        return (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(first.bytes));
    }

    public static float* Floats(this Tensor tensor) => (float*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(tensor.bytes));
}
