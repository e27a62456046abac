using Moebius.Inference.Kernels;

namespace Moebius.Inference.Tests.Kernels;

public unsafe class ScratchTests
{
    [Fact]
    public void What_the_block_has_no_room_for_comes_from_another()
    {
        using var scratch = new Scratch();
        const int Mebibyte = (1 << 20) / sizeof(float);
        new Span<float>(scratch.Floats(Mebibyte - 16), Mebibyte - 16).Fill(1);
        var first = scratch.Mark();
        var last = scratch.Floats(16);
        Assert.Equal(first.Block, scratch.Mark().Block);
        new Span<float>(last, 16).Fill(2);
        scratch.Floats(1);
        Assert.Equal(first.Block + 1, scratch.Mark().Block);
        // What was taken since the mark is taken again.
        scratch.Release(first);
        Assert.Equal((nint)last, (nint)scratch.Floats(16));
    }

    [Fact]
    public void Experts_give_back_what_they_took()
    {
        const int Dim = 32, Rows = 700;
        using var kernels = new TensorKernels(new Workers(1));
        float[] weights = new float[Dim * Dim], x = new float[2 * Rows * Dim], y = new float[2 * Rows * Dim];
        fixed (float* w = weights, px = x, py = y)
        {
            var matrix = WeightRows.Packed((byte*)w, WeightFormat.Float32, Dim, null);
            var matrices = new GatedMatrices(matrix, matrix, matrix);
            var before = kernels.Scratch.Mark();
            // More rows than are held at once: in turns.
            GatedExperts.Run(kernels, Activation.Silu, new GatedWeights[] { new(matrices, 0, Rows), new(matrices, Rows, Rows) }, new Rows(px, 2 * Rows, Dim), null, Dim, new Rows(py, 2 * Rows, Dim));
            Assert.Equal(before, kernels.Scratch.Mark());
        }
    }
}
