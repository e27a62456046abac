using System.Text;
using FsCheck.Xunit;
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
        var verdict = BlockClassifier.Classify(PolicyCompiler.Default, Encoding.UTF8.GetBytes(text), [.. text.Select(_ => 1u)], 10, 0);
        Assert.Equal(1, verdict.PrivateFrom);
    }

    [Fact]
    public void A_secret_that_ends_in_a_later_commit_is_found_from_where_it_begins()
    {
        const string text = "my card is 4111 1111 1111 1111";
        var verdict = BlockClassifier.Classify(PolicyCompiler.Default, Encoding.UTF8.GetBytes(text), [.. text.Select(_ => 1u)], 5, 5);
        Assert.Equal(2, verdict.PrivateFrom);
    }

    [Fact]
    public void Special_tokens_without_bytes_separate_texts_and_belong_to_the_declared_one()
    {
        // <|im_start|> "system\nBe kind to all." <|im_end|> "4111..." <|im_end|> "1"
        const string first = "system\nBe kind to all.";
        const string second = "4111111111111111";
        uint[] bytes = [0, .. first.Select(_ => 1u), 0, .. second.Select(_ => 1u), 0, 1];
        var verdict = BlockClassifier.Classify(Policy, Encoding.UTF8.GetBytes(first + second + "1"), bytes, 1, 0);
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
        Assert.Equal(20, BlockClassifier.Classify(policy, Encoding.UTF8.GetBytes(inside), [.. inside.Select(_ => 1u)], 1, 0).PublicUpTo);
        const string beyond = "Ask help@example.community now";
        Assert.Equal(4, BlockClassifier.Classify(policy, Encoding.UTF8.GetBytes(beyond), [.. beyond.Select(_ => 1u)], 1, 0).PublicUpTo);
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
}
