using System.Text;

namespace Moebius.Inference.Text;

/// <summary>Turns bytes that arrive in pieces into text: a character cut by an edge waits for its rest.</summary>
internal sealed class Utf8Stream
{
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();
    private bool _whole = true;

    /// <summary>The text that the bytes complete; what is not UTF-8 becomes U+FFFD.</summary>
    public string Append(ReadOnlySpan<byte> bytes)
    {
        // Nearly every token is as simple.
        if (_whole && Ascii.IsValid(bytes))
            return Encoding.ASCII.GetString(bytes);
        var text = Decode(bytes, false);
        if (bytes.Length > 0)
            _whole = Ascii.IsValid(bytes[^1]);
        return text;
    }

    /// <summary>The end: a character that never came whole becomes U+FFFD.</summary>
    public string Finish() => Decode([], true);

    private string Decode(ReadOnlySpan<byte> bytes, bool flush)
    {
        Span<char> characters = stackalloc char[64];
        _decoder.Convert(bytes, characters, flush, out var used, out var written, out var completed);
        if (completed)
            return new string(characters[..written]);
        var text = new StringBuilder().Append(characters[..written]);
        while (!completed)
        {
            bytes = bytes[used..];
            _decoder.Convert(bytes, characters, flush, out used, out written, out completed);
            text.Append(characters[..written]);
        }

        return text.ToString();
    }
}
