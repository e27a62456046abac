namespace Moebius.Inference.Tools;

/// <summary><c>&lt;tool_call&gt;{"name": .., "arguments": ..}&lt;/tool_call&gt;</c>: Hermes, Qwen2.5, Qwen3.</summary>
internal sealed class HermesSyntax : ICallSyntax
{
    private const string Open = "<tool_call>";
    private const string Close = "</tool_call>";

    public IReadOnlyList<string> Openers { get; } = [Open];

    public IReadOnlyList<string> Markers { get; } = [Open, Close];

    public CallReading Read(string text, bool ended)
    {
        var at = JsonCalls.Skip(text, Open.Length);
        if (at == text.Length)
            return CallReading.Undecided(ended, Open);
        if (text[at] != '{')
            return CallReading.Text(Open.Length);
        var end = JsonCalls.End(text, at);
        if (end < 0)
            return CallReading.Undecided(ended, Open);
        if (JsonCalls.Parse(text[at..end]) is not { } calls)
            return CallReading.Text(Open.Length);
        // A model that ends its turn at once has still called.
        var close = JsonCalls.Skip(text, end);
        var rest = text.AsSpan(close);
        if (rest.StartsWith(Close, StringComparison.Ordinal))
            return new CallReading(close + Close.Length, calls);
        if (rest.Length < Close.Length && Close.AsSpan().StartsWith(rest, StringComparison.Ordinal))
            return ended ? new CallReading(close, calls) : CallReading.More;
        return CallReading.Text(Open.Length);
    }
}
