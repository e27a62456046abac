using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Server;

/// <summary>A prompt as its answer repeats it.</summary>
/// <param name="Text">What is repeated: the text that was sent, or that of the tokens.</param>
/// <param name="Taken">Spaces at the beginning of its first tokens that are not in the text: the tokenizer put them there.</param>
internal sealed record EchoedPrompt(string Text, int Taken)
{
    public static EchoedPrompt Of(Tokenizer tokenizer, int[] tokens, string? sent)
    {
        var text = tokenizer.Decode(tokens, out var taken);
        return new EchoedPrompt(sent ?? text, taken);
    }
}
