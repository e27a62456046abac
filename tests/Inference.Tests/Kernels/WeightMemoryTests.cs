using Moebius.Inference.Kernels;

namespace Moebius.Inference.Tests.Kernels;

public unsafe class WeightMemoryTests
{
    [Property(MaxTest = 50)]
    public void Pieces_are_aligned_zeroed_and_apart(ushort[] sizes)
    {
        using var memory = new WeightMemory();
        var pieces = (sizes ?? []).Select(size => (Address: (nint)memory.Take(size), Size: (int)size)).ToList();
        foreach (var (address, size) in pieces)
        {
            Assert.Equal(0, address % 64);
            var bytes = new Span<byte>((void*)address, size);
            Assert.Equal(-1, bytes.IndexOfAnyExcept((byte)0));
            bytes.Fill(1);
        }
        Assert.All(pieces.OrderBy(piece => piece.Address).Zip(pieces.OrderBy(piece => piece.Address).Skip(1)), pair => Assert.True(pair.First.Address + pair.First.Size <= pair.Second.Address));
    }

    [Fact]
    public void A_piece_larger_than_a_range_has_one_of_its_own()
    {
        using var memory = new WeightMemory();
        var bytes = (300L << 20) + 1;
        byte* small = memory.Take(10), large = memory.Take(bytes);
        small[9] = 2;
        large[bytes - 1] = 3;
        Assert.Equal((2, 3), (small[9], large[bytes - 1]));
        Assert.True(memory.Bytes >= bytes + 10);
    }
}
