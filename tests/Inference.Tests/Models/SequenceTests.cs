using Moebius.Inference.Models;

namespace Moebius.Inference.Tests.Models;

public class SequenceTests
{
    private static readonly int[] Tokens = [5, 6, 7, 8];

    [Fact]
    public void A_refused_step_changes_nothing()
    {
        using var model = TestModels.Load(TestModels.Golden("mixtral"));
        using var good = model.CreateSequence();
        using var other = model.CreateSequence();
        var context = model.Info.ContextLength;
        Refused(new SequenceChunk(good, Tokens, LogitsFor.Last), new SequenceChunk(good, Tokens, LogitsFor.Last));
        Refused(new SequenceChunk(good, Tokens, LogitsFor.Last), new SequenceChunk(other, ReadOnlyMemory<int>.Empty, LogitsFor.Last));
        Refused(new SequenceChunk(good, Tokens, LogitsFor.Last), new SequenceChunk(other, new[] { model.Info.VocabularySize }, LogitsFor.Last));
        Refused(new SequenceChunk(good, Tokens, LogitsFor.Last), new SequenceChunk(other, new[] { -1 }, LogitsFor.Last));
        Refused(new SequenceChunk(good, Tokens, LogitsFor.Last), new SequenceChunk(other, new int[context + 1], LogitsFor.Last));

        void Refused(params SequenceChunk[] chunks)
        {
            Assert.Throws<ArgumentException>(() => model.Forward(chunks));
            Assert.Equal(0, good.Length);
            Assert.Equal(0, other.Length);
        }
    }

    [Fact]
    public void A_disposed_model_refuses_to_run()
    {
        var model = TestModels.Load(TestModels.Golden("mixtral"));
        using var kv = model.CreateSequence();
        model.Dispose();
        model.Dispose();
        Assert.Throws<ObjectDisposedException>(() => model.Forward([new SequenceChunk(kv, Tokens, LogitsFor.Last)]));
    }

    [Fact]
    public void Blocks_are_checked()
    {
        using var model = TestModels.Load(TestModels.Golden("mixtral"));
        using var kv = model.CreateSequence();
        var block = new byte[model.Info.BlockBytes];
        model.Forward([new SequenceChunk(kv, Tokens, LogitsFor.None)]);
        Assert.Throws<ArgumentOutOfRangeException>(() => kv.ExportBlock(0, block));
        Assert.Throws<InvalidOperationException>(() => kv.ImportBlock(block, new int[model.Info.BlockTokens]));
        Assert.Throws<ArgumentOutOfRangeException>(() => kv.Truncate(5));
        kv.Truncate(0);
        Assert.Throws<ArgumentException>(() => kv.ImportBlock(block.AsSpan(1), new int[model.Info.BlockTokens]));
        Assert.Throws<ArgumentException>(() => kv.ImportBlock(block, new int[1]));
        kv.Dispose();
        Assert.Throws<ObjectDisposedException>(() => kv.ImportBlock(block, new int[model.Info.BlockTokens]));
    }

    [Fact]
    public void Blocks_beyond_the_length_that_they_depend_on_are_refused()
    {
        using var model = TestModels.Load(Path.Combine(TestModels.Data, "variants", "phimoe-longrope-crossing"));
        Assert.Equal(28, model.Info.KvSharedUpTo);
        using var kv = model.CreateSequence();
        var block = new byte[model.Info.BlockBytes];
        kv.ImportBlock(block, new int[model.Info.BlockTokens]);
        Assert.Throws<NotSupportedException>(() => kv.ImportBlock(block, new int[model.Info.BlockTokens]));
        Assert.Equal(model.Info.BlockTokens, kv.Length);
    }

    [Fact]
    public void Fingerprints_tell_models_and_block_sizes_apart()
    {
        string[] prints =
        [
            Print(TestModels.Golden("mixtral"), 16), Print(TestModels.Golden("mixtral"), 32), Print(TestModels.Golden("olmoe"), 16),
        ];
        Assert.Equal(3, prints.Distinct().Count());
        Assert.Equal(prints[0], Print(TestModels.Golden("mixtral"), 16));

        static string Print(string directory, int blockTokens)
        {
            using var model = ModelLoader.Load(directory, new ModelLoadOptions { Threads = 1, BlockTokens = blockTokens });
            Assert.Equal(32, model.Info.Fingerprint.Value.Length);
            return Convert.ToHexString(model.Info.Fingerprint.Value.Span);
        }
    }
}
