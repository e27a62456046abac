namespace Moebius.Inference.Tools;

/// <summary>Writes a text that comes in pieces as a JSON text.</summary>
/// <param name="say">Gets the JSON.</param>
/// <param name="trimBreaks">Leaves out a line break before and one behind the text.</param>
internal sealed class JsonText(PieceReader say, bool trimBreaks)
{
    private bool _begun;

    /// <summary>The text's last character, while what follows decides what becomes of it.</summary>
    private string _held = "";

    public void Add(ReadOnlySpan<char> text)
    {
        if (text.IsEmpty)
            return;
        if (!_begun)
        {
            say("\"");
            if (trimBreaks && text[0] == '\n')
                text = text[1..];
        }

        _begun = true;
        var all = string.Concat(_held, text);
        var keep = all.Length > 0 && (char.IsHighSurrogate(all[^1]) || (trimBreaks && all[^1] == '\n')) ? 1 : 0;
        _held = all[^keep..];
        say(Escaped(all[..^keep]));
    }

    /// <summary>The text has ended.</summary>
    public void End()
    {
        if (!_begun)
            say("\"");
        say(Escaped(Trimmed(_held, trimBreaks)) + "\"");
    }

    /// <summary>A text without a line break before and one behind it, where they are not part of it.</summary>
    public static string Trimmed(string text, bool trimBreaks)
    {
        if (!trimBreaks)
            return text;
        var from = text.StartsWith('\n') ? 1 : 0;
        return text[from..(text.Length - (text.Length > from && text.EndsWith('\n') ? 1 : 0))];
    }

    private static string Escaped(string text) => ToolSchemas.Quoted(text)[1..^1];
}
