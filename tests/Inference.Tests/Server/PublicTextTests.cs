using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Server;
using Moebius.Inference.Tests.Engine;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Tests.Server;

public class PublicTextTests
{
    private const string System = "You are a helpful assistant. Answer in one sentence.\n";
    private static readonly Tokenizer Tokenizer = EngineHarness.Tokenizer;

    [Fact]
    public void A_declared_text_is_public_up_to_its_last_whole_token_and_only_as_a_whole()
    {
        var text = new PublicText(Policy(SharingMode.SafeKV));
        int[] declared = [.. Tokenizer.Encode(System, false)];
        int[] rest = [.. Tokenizer.Encode("What is a carriage?", false)];
        Assert.Equal(declared.Length, text.Tokens([.. declared, .. rest], Tokenizer));
        Assert.Equal(declared.Length, text.Tokens(declared, Tokenizer));
        Assert.Equal(0, text.Tokens(declared.AsSpan(..^1), Tokenizer));
        Assert.Equal(0, text.Tokens([.. rest, .. declared], Tokenizer));

        // A token that belongs to the declared text and to what comes after it is not public.
        int[] run = [.. Tokenizer.Encode(System[..^2] + "s of thought", false)];
        Assert.Equal(0, text.Tokens(run, Tokenizer));
    }

    [Fact]
    public void Isolate_shares_nothing_and_share_all()
    {
        int[] declared = [.. Tokenizer.Encode(System, false)];
        Assert.Equal(0, new PublicText(Policy(SharingMode.Isolate)).Tokens(declared, Tokenizer));
        Assert.Equal(declared.Length, new PublicText(Policy(SharingMode.Share)).Tokens(declared, Tokenizer));
        Assert.Equal(0, new PublicText(null).Tokens(declared, Tokenizer));
    }

    private static KVPrivacyPolicySpec Policy(SharingMode mode) => new() { Mode = mode, PublicPrefixes = [new PublicPrefix { Name = "system", Text = System }] };
}
