using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Server;

/// <summary>
/// A prompt as its answer repeats it. Its text is made when it is asked for: a request that is refused, for its prompt is too long,
/// should not pay for it. For one thread.
/// </summary>
/// <param name="tokenizer">The model's.</param>
/// <param name="tokens">The prompt.</param>
/// <param name="sent">The text that was sent; null: token ids were.</param>
internal sealed class EchoedPrompt(Tokenizer tokenizer, int[] tokens, string? sent)
{
    private string? _text;
    private int _taken;

    /// <summary>What is repeated: the text that was sent, or that of the tokens.</summary>
    public string Text => Made();

    /// <summary>Spaces at the beginning of its first tokens that are not in the text: the tokenizer put them there.</summary>
    public int Taken
    {
        get
        {
            Made();
            return _taken;
        }
    }

    private string Made()
    {
        if (_text is not null)
            return _text;
        var text = tokenizer.Decode(tokens, out _taken);
        return _text = sent ?? text;
    }
}
