using Moebius.Inference.Models;

namespace Moebius.Inference.Tests.Models;

/// <summary>What must not change a result changes no bit of it.</summary>
public class DeterminismTests
{
    private static readonly int[] Prompt = [.. Enumerable.Range(0, 53).Select(i => 3 + i * 37 % 350)];

    /// <summary>One family per kind of attention and routing, and the demonstration model where it is.</summary>
    public static TheoryData<string> Models
    {
        get
        {
            var data = new TheoryData<string> { TestModels.Golden("qwen3_moe"), TestModels.Golden("gpt_oss"), TestModels.Golden("deepseek_v3"), TestModels.Golden("phimoe") };
            if (TestModels.Demonstration() is string demonstration)
                data.Add(demonstration);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Prefill_in_chunks_gives_the_same_bits(string directory)
    {
        using var model = TestModels.Load(directory);
        var whole = TestModels.Prefill(model, Prompt, Prompt.Length);
        foreach (var chunk in new[] { 1, 3, 16, 50 })
            Assert.Equal(whole, TestModels.Prefill(model, Prompt, chunk));
    }

    // Their rotation changes with the length: a prompt of 53 tokens passes the original context, and so does an answer after 20.
    [Theory]
    [InlineData("mixtral-dynamic")]
    [InlineData("mixtral-longrope-crossing")]
    [InlineData("phimoe-longrope-crossing")]
    public void A_prompt_cut_anyhow_and_an_answer_computed_again_give_the_same_bits(string variant)
    {
        using var model = TestModels.Load(Path.Combine(TestModels.Data, "variants", variant));
        Assert.True(model.Info.KvDependsOnLength);
        int[] tokens = [.. Prompt.Select(token => token % model.Info.VocabularySize)];
        foreach (var prompt in new[] { tokens.Length, 20 })
        {
            using var first = model.CreateSequence();
            var expected = model.Forward([new SequenceChunk(first, tokens.AsMemory(0, prompt), LogitsFor.Last)])[0];
            for (var at = prompt; at < tokens.Length; at++)
                expected = model.Forward([new SequenceChunk(first, tokens.AsMemory(at, 1), LogitsFor.Last)])[0];
            foreach (var chunk in new[] { 1, 7, 16, tokens.Length })
                Assert.Equal(expected, TestModels.Prefill(model, tokens, chunk, prompt));
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Other_chunks_of_the_step_change_no_bit(string directory)
    {
        using var model = TestModels.Load(directory);
        using var alone = model.CreateSequence();
        var expected = model.Forward([new SequenceChunk(alone, Prompt, LogitsFor.All)])[0];
        using var a = model.CreateSequence();
        using var b = model.CreateSequence();
        using var c = model.CreateSequence();
        var results = model.Forward(
        [
            new SequenceChunk(a, Prompt.AsMemory(5, 7), LogitsFor.Last),
            new SequenceChunk(b, Prompt, LogitsFor.All),
            new SequenceChunk(c, Prompt.AsMemory(20, 1), LogitsFor.None),
        ]);
        Assert.Equal(expected, results[1]);
        Assert.Equal(model.Info.VocabularySize, results[0].Length);
        Assert.Empty(results[2]);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Exported_blocks_continue_with_the_same_bits(string directory)
    {
        using var model = TestModels.Load(directory);
        using var original = model.CreateSequence();
        model.Forward([new SequenceChunk(original, Prompt, LogitsFor.None)]);
        using var copy = model.CreateSequence();
        var blocks = Prompt.Length / model.Info.BlockTokens;
        var bytes = new byte[model.Info.BlockBytes];
        for (var block = 0; block < blocks; block++)
        {
            original.ExportBlock(block, bytes);
            copy.ImportBlock(bytes, Prompt.AsSpan(block * model.Info.BlockTokens, model.Info.BlockTokens));
        }
        Assert.Equal(blocks * model.Info.BlockTokens, copy.Length);
        var continued = model.Forward([new SequenceChunk(copy, Prompt.AsMemory(copy.Length), LogitsFor.Last)])[0];
        Assert.Equal(TestModels.Prefill(model, Prompt, Prompt.Length), continued);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Truncated_tokens_leave_no_trace(string directory)
    {
        using var model = TestModels.Load(directory);
        using var kv = model.CreateSequence();
        model.Forward([new SequenceChunk(kv, Prompt.AsMemory(0, 21), LogitsFor.None)]);
        model.Forward([new SequenceChunk(kv, Prompt.AsMemory(0, 30), LogitsFor.None)]);
        kv.Truncate(21);
        var continued = model.Forward([new SequenceChunk(kv, Prompt.AsMemory(21), LogitsFor.Last)])[0];
        Assert.Equal(TestModels.Prefill(model, Prompt, Prompt.Length), continued);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Budget_threads_and_weight_storage_change_no_bit(string directory)
    {
        float[] expected;
        using (var model = TestModels.Load(directory))
            expected = TestModels.Prefill(model, Prompt, Prompt.Length);
        using (var model = TestModels.Load(directory, TestModels.SmallestBudget(directory)))
            Assert.Equal(expected, TestModels.Prefill(model, Prompt, 9));
        using (var model = TestModels.Load(directory, threads: 2))
            Assert.Equal(expected, TestModels.Prefill(model, Prompt, 20));
        using (var model = TestModels.Load(directory, weights: WeightStorage.Float32))
            Assert.Equal(expected, TestModels.Prefill(model, Prompt, Prompt.Length));
    }

}
