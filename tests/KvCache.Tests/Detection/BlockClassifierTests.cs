using System.Text;
using Moebius.Crds.V1Alpha1;
using Moebius.KvCache.Detection;
using Moebius.KvCache.Policy;

namespace Moebius.KvCache.Tests.Detection;

public sealed class BlockClassifierTests
{
    private static readonly CompiledPolicy Policy = PolicyCompiler.Compile(
        new KVPrivacyPolicySpec { PublicPrefixes = [new PublicPrefix { Name = "p", Text = "<|im_start|>system\nBe kind to all." }] }, 1, "test");

    [Fact]
    public void A_secret_across_a_block_edge_keeps_the_block_it_begins_in_private()
    {
        const string text = "please write to jane@example.com";
        var verdict = Classify(PolicyCompiler.Default, Encoding.UTF8.GetBytes(text), [.. text.Select(_ => 1u)], 10, 0);
        Assert.Equal(1, verdict.PrivateFrom);
    }

    [Fact]
    public void A_secret_that_ends_in_a_later_commit_is_found_from_where_it_begins()
    {
        const string text = "my card is 4111 1111 1111 1111";
        var verdict = Classify(PolicyCompiler.Default, Encoding.UTF8.GetBytes(text), [.. text.Select(_ => 1u)], 5, 5);
        Assert.Equal(2, verdict.PrivateFrom);
    }

    [Fact]
    public void Special_tokens_without_bytes_separate_texts_and_belong_to_the_declared_one()
    {
        // <|im_start|> "system\nBe kind to all." <|im_end|> "4111..." <|im_end|> "1"
        const string first = "system\nBe kind to all.";
        const string second = "4111111111111111";
        uint[] bytes = [0, .. first.Select(_ => 1u), 0, .. second.Select(_ => 1u), 0, 1];
        var verdict = Classify(Policy, Encoding.UTF8.GetBytes(first + second + "1"), bytes, 1, 0);
        Assert.Equal(1 + first.Length, verdict.PublicUpTo);
        Assert.Equal(1 + first.Length + 1, verdict.PrivateFrom);
    }

    [Fact]
    public void What_is_declared_is_public_though_it_names_an_address_and_what_runs_on_is_not()
    {
        var policy = PolicyCompiler.Compile(
            new KVPrivacyPolicySpec { PublicPrefixes = [new PublicPrefix { Name = "p", Text = "Ask help@example.com" }] }, 1, "test");
        Assert.Contains("Email", Assert.Single(policy.Warnings), StringComparison.Ordinal);
        const string inside = "Ask help@example.com about it";
        Assert.Equal(20, Classify(policy, Encoding.UTF8.GetBytes(inside), [.. inside.Select(_ => 1u)], 1, 0).PublicUpTo);
        const string beyond = "Ask help@example.community now";
        Assert.Equal(4, Classify(policy, Encoding.UTF8.GetBytes(beyond), [.. beyond.Select(_ => 1u)], 1, 0).PublicUpTo);
    }

    [Theory]
    [InlineData(false, 0, true)]
    [InlineData(false, 1, false)]
    [InlineData(true, 1, true)]
    [InlineData(true, 0, true)]
    public void What_was_read_before_is_read_again_only_where_more_may_become_public(bool classifies, int publicBlocks, bool isRead)
    {
        // The first block is declared; the card is in the second, and long before what is new.
        const string declared = "Be kind to all. ";
        var text = declared + "My card is 4111 1111 1111 1111. " + string.Concat(Enumerable.Repeat("and so on ", 1000));
        var policy = classifies ? Classifying : PolicyCompiler.Compile(new KVPrivacyPolicySpec { PublicPrefixes = [new PublicPrefix { Name = "p", Text = declared }] }, 1, "test");
        var undecided = (text.Length / declared.Length) - 2;
        var reading = new BlockClassifier(policy, Encoding.UTF8.GetBytes(text), [.. text.Select(_ => 1u)], declared.Length, undecided, publicBlocks);
        // What the classifier has not cleared may come before it.
        Assert.Equal(isRead, reading.Decide([]).PrivateFrom <= 1);
    }

    [Fact]
    public void A_secret_right_before_what_is_new_is_found_also_where_nothing_can_become_public()
    {
        const string text = "my card is 4111 1111 1111 1111";
        var reading = new BlockClassifier(PolicyCompiler.Default, Encoding.UTF8.GetBytes(text), [.. text.Select(_ => 1u)], 5, 5, 0);
        Assert.Equal(2, reading.Decide([]).PrivateFrom);
    }

    [Fact]
    public void The_longest_match_of_an_expression_is_found_from_where_it_begins_also_in_characters_of_three_bytes()
    {
        var policy = PolicyCompiler.Compile(new KVPrivacyPolicySpec { Rules = new RuleSpec { Custom = [new CustomRule { Name = "x", Pattern = "甲乙+丙" }] } }, 1, "test");
        var text = $"甲{new string('乙', WindowedExpression.Overlap - 2)}丙";
        var reading = new BlockClassifier(policy, Encoding.UTF8.GetBytes(text), [.. text.Select(_ => 3u)], 16, (text.Length / 16) - 1, 0);
        Assert.Equal(0, reading.Decide([]).PrivateFrom);
    }

    private static readonly CompiledPolicy Classifying = new TierFactory("/", null, null, TimeProvider.System).Equip(
        PolicyCompiler.Compile(new KVPrivacyPolicySpec { Classifier = new ClassifierSpec { Type = ClassifierType.BuiltIn } }, 1, "test"), "test");

    [Property(MaxTest = 60)]
    public void A_conversation_that_grows_ends_as_if_it_had_been_read_at_once(AnyInt seed)
    {
        string[] parts = ["Explain how a motor works. ", "What is inflation?\n", "Write a poem about the sea.\n", "Mr. ", "def parse_item(item):\n", "Thank you very much. ", "and so on and so forth ", "My name is Marianne Oldfield. ", "card 4111 1111 1111 1111\n"];
        var random = new Random(seed.Item);
        // The last two kinds are rare, so that some conversations have none.
        var text = string.Concat(Enumerable.Range(0, 200).Select(_ => parts[random.Next(20) == 0 ? random.Next(parts.Length) : random.Next(parts.Length - 2)])) + "Thank you.\n";
        var block = random.Next(1, 9);
        var (publicUpTo, privateFrom) = (0, int.MaxValue);
        for (var length = 0; length < text.Length && privateFrom == int.MaxValue;)
        {
            length = Math.Min(text.Length, length + random.Next(1, 900));
            var step = Read(text[..length], publicUpTo);
            (publicUpTo, privateFrom) = (Math.Max(publicUpTo, step.PublicUpTo), step.PrivateFrom);
        }

        var whole = Read(text, 0);
        Assert.Equal(whole.PublicUpTo, publicUpTo);
        // A passage with a finding that is not complete yet is private from the finding on.
        Assert.True(privateFrom >= whole.PrivateFrom && privateFrom <= text.Length || whole.PrivateFrom == privateFrom);

        BlockVerdict Read(string prompt, int firstUndecided)
        {
            var blocks = prompt.Length / block;
            return Classify(Classifying, Encoding.UTF8.GetBytes(prompt), [.. prompt.Select(_ => 1u)], block, Math.Min(firstUndecided, blocks));
        }
    }

    [Theory]
    [InlineData("Explain how a motor works. My name is Marianne Oldfield. Thanks.\n", 26, 26)]
    [InlineData("Explain how a motor works. Write to jane@example.com. Thanks.\n", 26, 36)]
    [InlineData("Explain how a motor works. What is infl", 26, int.MaxValue)]
    [InlineData("Explain how a motor works. What is inflation?\n", 46, int.MaxValue)]
    public void Text_is_cleared_up_to_the_first_passage_that_is_private_or_not_complete(string text, int publicUpTo, int privateFrom)
    {
        var verdict = Classify(Classifying, Encoding.UTF8.GetBytes(text), [.. text.Select(_ => 1u)], 1, 0);
        Assert.Equal((publicUpTo, privateFrom), (verdict.PublicUpTo, verdict.PrivateFrom));
        Assert.Equal(0, verdict.Declared);
    }

    [Theory]
    [InlineData("ⓜⓨ ⓦⓘⓕⓔ ⓐⓝⓝⓐ ⓗⓐⓢ ⓒⓐⓝⓒⓔⓡ")]
    [InlineData("⠍⠽ ⠺⠊⠋⠑ ⠁⠝⠝⠁ ⠓⠁⠎ ⠉⠁⠝⠉⠑⠗")]
    [InlineData("-- -.-- / .-- .. ..-. . / .- -. -. .- / .... .- ...")]
    [InlineData("𐐣𐐴 𐐶𐐴𐑁 𐐰𐑌𐐲 𐐸𐐰𐑆 𐐿𐐰𐑌𐑅𐐲𐑉")]
    [InlineData("①③ ⑦⑨ ①⑨⑧⑤ ⑬ ⑳ ⑭ ⑲ ⑰")]
    [InlineData("\uE06D\uE079 \uE077\uE069\uE066\uE065 \uE061\uE06E\uE06E\uE061")]
    public void What_stands_for_letters_and_is_none_is_not_cleared_unread(string text)
    {
        var bytes = Encoding.UTF8.GetBytes($"{text}\n");
        var verdict = Classify(Classifying, bytes, [.. bytes.Select(_ => 1u)], 1, 0);
        Assert.Equal((0, 0), (verdict.PublicUpTo, verdict.PrivateFrom));
    }

    [Fact]
    public void What_comes_after_the_most_passages_of_a_commit_stays_private()
    {
        const string line = "Thank you.\n";
        var text = string.Concat(Enumerable.Repeat(line, BlockClassifier.MaxPassages + 5));
        var reading = new BlockClassifier(Classifying, Encoding.UTF8.GetBytes(text), [.. text.Select(_ => 1u)], line.Length, 0, 0);
        Assert.Equal(BlockClassifier.MaxPassages, reading.Passages.Count);
        Assert.Equal(BlockClassifier.MaxPassages, reading.Decide([.. reading.Passages.Select(_ => true)]).PublicUpTo);
    }

    [Theory]
    [InlineData("• \n")]
    [InlineData("— — —\n")]
    [InlineData("---\n----------------\n")]
    [InlineData("|---|:---:|---|---|\n+-----+-----+-----+\n")]
    [InlineData("}\n});\n*/\n}}}}}}}}}}}}\n")]
    [InlineData("/////////////////////// ============ ~~~~~~~~~ ########\n")]
    [InlineData("┌──────┬──────┐\n│ ✓ │ → │\n└──────┴──────┘\n")]
    [InlineData("... ... --- ...\n")]
    [InlineData("▁▂▃▄▅▆▇█▓▒░\n")]
    [InlineData("∀∈∑√∞≤≥≠ €£¥ «»„“”‘’ ±×÷\n")]
    public void Lines_of_signs_are_harmless(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        Assert.Equal(bytes.Length, Classify(Classifying, bytes, [.. bytes.Select(_ => 1u)], 1, 0).PublicUpTo);
    }

    [Property]
    public void Every_character_maps_to_the_token_that_holds_its_first_byte(byte[] bytes, byte[] cuts)
    {
        var lengths = new List<uint>();
        var used = 0;
        foreach (var cut in cuts)
        {
            var length = Math.Min(cut % 4, bytes.Length - used);
            lengths.Add((uint)length);
            used += length;
        }

        lengths.Add((uint)(bytes.Length - used));
        var text = TokenText.Create(bytes, lengths, 0);
        for (var index = 0; index < text.Text.Length; index++)
        {
            var token = text.TokenAt(index);
            var start = lengths.Take(token).Sum(length => length);
            Assert.InRange(text.ByteAt(index), start, start + lengths[token] - 1);
        }
    }

    /// <summary>A verdict by the rules and the classifier alone.</summary>
    private static BlockVerdict Classify(
        CompiledPolicy policy, ReadOnlySpan<byte> text, IReadOnlyList<uint> tokenBytes, int blockTokens, int firstUndecided)
    {
        var reading = new BlockClassifier(policy, text, tokenBytes, blockTokens, firstUndecided, firstUndecided);
        var scores = policy.Tiers.Classifier?.Score([.. reading.Passages.Select(reading.TextOf)]) ?? [];
        return reading.Decide([.. scores.Select(score => policy.Judge(score.Probability) == PassageVerdict.Public)]);
    }
}
