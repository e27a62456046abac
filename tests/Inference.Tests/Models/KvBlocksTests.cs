using Moebius.Inference.Models;

namespace Moebius.Inference.Tests.Models;

public sealed class KvBlocksTests
{
    private const int Big = KvBlocks.KeptBytes / 4;

    [Fact]
    public void A_block_that_was_given_back_is_used_again_and_only_then()
    {
        using var blocks = new KvBlocks(4096);
        nint first = blocks.Take(), second = blocks.Take();
        Assert.NotEqual(first, second);
        Assert.Equal(0, first % 64);
        blocks.Return(first);
        Assert.Equal(first, blocks.Take());
        blocks.Return(first);
        blocks.Return(second);
    }

    [Fact]
    public void Only_so_many_bytes_are_kept()
    {
        using var blocks = new KvBlocks(Big);
        nint[] many = [.. Enumerable.Range(0, 6).Select(_ => blocks.Take())];
        foreach (var block in many)
            blocks.Return(block);
        Assert.Equal(many[..4].Reverse(), Enumerable.Range(0, 4).Select(_ => blocks.Take()));
        foreach (var block in many[..4])
            blocks.Return(block);
    }

    [Fact]
    public void A_sequence_gives_its_blocks_back_and_another_gets_the_same_logits_in_them()
    {
        using var model = TestModels.Load(TestModels.Golden("mixtral"));
        var fresh = Logits();
        Assert.Equal(fresh, Logits());

        float[] Logits()
        {
            using var kv = model.CreateSequence();
            _ = model.Forward([new SequenceChunk(kv, Enumerable.Range(5, 20).ToArray(), LogitsFor.None)]);
            return [.. model.Forward([new SequenceChunk(kv, new[] { 7 }, LogitsFor.Last)])[0]];
        }
    }

    [Fact]
    public void A_sequence_may_outlive_its_model()
    {
        using var model = TestModels.Load(TestModels.Golden("mixtral"));
        using var kv = model.CreateSequence();
        _ = model.Forward([new SequenceChunk(kv, new[] { 5, 6, 7 }, LogitsFor.None)]);
        model.Dispose();
        kv.Dispose();
    }
}
