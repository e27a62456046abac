namespace Moebius.Inference.Tools;

/// <summary>
/// <c>[TOOL_CALLS][{"name": .., "arguments": ..}, ..]</c>: Mixtral and Mistral; newer ones write
/// <c>[TOOL_CALLS]name[ARGS]{..}</c>, some with <c>[CALL_ID]id</c> before <c>[ARGS]</c>.
/// </summary>
internal sealed class MistralSyntax : ICallSyntax
{
    private const string Open = "[TOOL_CALLS]";
    private const string Id = "[CALL_ID]";
    private const string Args = "[ARGS]";

    public IReadOnlyList<string> Openers { get; } = [Open];

    public IReadOnlyList<string> Markers { get; } = [Open, Id, Args];

    public CallReading Read(string text, bool ended)
    {
        var at = JsonCalls.Skip(text, Open.Length);
        if (at == text.Length)
            return CallReading.Undecided(ended, Open);
        var named = text[at] is not ('[' or '{');
        var start = at;
        if (named)
        {
            start = text.IndexOf('{', at);
            var header = start < 0 ? text[at..] : text[at..start];
            if (header.Contains('\n', StringComparison.Ordinal))
                return CallReading.Text(Open.Length);
            if (start < 0)
                return CallReading.Undecided(ended, Open);
        }

        var end = JsonCalls.End(text, start);
        if (end < 0)
            return CallReading.Undecided(ended, Open);
        var calls = named ? Named(text[at..start], text[start..end]) : JsonCalls.Parse(text[start..end]);
        return calls is null ? CallReading.Text(Open.Length) : new CallReading(end, calls);
    }

    private static CallPart[]? Named(string header, string arguments)
    {
        foreach (var marker in (ReadOnlySpan<string>)[Args, Id])
            header = header.IndexOf(marker, StringComparison.Ordinal) is >= 0 and var at ? header[..at] : header;
        var name = header.Trim();
        return name.Length > 0 && JsonCalls.IsObject(arguments) ? [new CallPart(name, arguments)] : null;
    }
}
