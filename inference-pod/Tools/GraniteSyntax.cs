namespace Moebius.Inference.Tools;

/// <summary><c>&lt;|tool_call|&gt;[{"name": .., "arguments": ..}, ..]</c>: Granite 3.</summary>
internal sealed class GraniteSyntax : ICallSyntax
{
    private static readonly string[] s_open = ["<|tool_call|>", "<tool_call>"];

    public IReadOnlyList<string> Openers => s_open;

    public IReadOnlyList<string> Markers => s_open;

    public CallReading Read(string text, bool ended)
    {
        var open = s_open.First(marker => text.StartsWith(marker, StringComparison.Ordinal));
        var at = JsonCalls.Skip(text, open.Length);
        if (at == text.Length)
            return CallReading.Undecided(ended, open);
        if (text[at] is not ('[' or '{'))
            return CallReading.Text(open.Length);
        var end = JsonCalls.End(text, at);
        if (end < 0)
            return CallReading.Undecided(ended, open);
        return JsonCalls.Parse(text[at..end]) is { } calls ? new CallReading(end, calls) : CallReading.Text(open.Length);
    }
}
