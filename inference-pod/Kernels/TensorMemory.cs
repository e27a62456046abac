using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Moebius.Inference.Kernels;

/// <summary>Direct access to the memory of contiguous CPU tensors.</summary>
internal static unsafe class TensorMemory
{
    /// <summary>Address of the first element; valid while the tensor lives.</summary>
    public static byte* Address(this Tensor tensor)
    {
        if (tensor.numel() == 0)
            return null;
        // Only the first element is spanned: a whole tensor may exceed the two gigabytes of a span.
        using var first = tensor.flatten().narrow(0, 0, 1);
        return (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(first.bytes));
    }

    /// <summary>
    /// Lets the system keep a tensor in pages of 2 MiB: weights are read from end to end, and each small page costs a
    /// look-up and ends the processor's own reading ahead. To be called before the memory is written.
    /// </summary>
    public static void AdviseHugePages(this Tensor tensor)
    {
        const nuint Page = 2 << 20;
        nuint address = (nuint)tensor.Address(), begin = (address + Page - 1) / Page * Page;
        nuint end = (address + (nuint)(tensor.numel() * tensor.element_size())) / Page * Page;
        if (begin < end && OperatingSystem.IsLinux())
            _ = Storage.LibC.madvise((void*)begin, end - begin, Storage.LibC.AdviseHugePage);
    }

    public static float* Floats(this Tensor tensor) => (float*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(tensor.bytes));
}
