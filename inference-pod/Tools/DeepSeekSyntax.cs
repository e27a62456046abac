namespace Moebius.Inference.Tools;

/// <summary>
/// DeepSeek's blocks of calls: V3 and R1 write <c>function</c>, a separator, the name and a fenced JSON object; V3.1 the
/// name, the separator and the object.
/// </summary>
internal sealed class DeepSeekSyntax : ICallSyntax
{
    private const string Begin = "<｜tool▁calls▁begin｜>";
    private const string End = "<｜tool▁calls▁end｜>";
    private const string CallBegin = "<｜tool▁call▁begin｜>";
    private const string CallEnd = "<｜tool▁call▁end｜>";
    private const string Separator = "<｜tool▁sep｜>";
    private const string Fence = "```";

    public IReadOnlyList<string> Openers { get; } = [Begin];

    public IReadOnlyList<string> Markers { get; } = [Begin, End, CallBegin, CallEnd, Separator];

    public CallReading Read(string text, bool ended)
    {
        var calls = new List<CallPart>();
        for (int at = Begin.Length, read = 0; ; read = at)
        {
            at = JsonCalls.Skip(text, at);
            var rest = text.AsSpan(at);
            if (calls.Count > 0 && rest.StartsWith(End, StringComparison.Ordinal))
                return new CallReading(at + End.Length, calls);
            var end = text.IndexOf(CallEnd, at, StringComparison.Ordinal);
            if (rest.StartsWith(CallBegin, StringComparison.Ordinal) && end >= 0 && Call(text[(at + CallBegin.Length)..end]) is { } call)
            {
                calls.Add(call);
                at = end + CallEnd.Length;
                continue;
            }

            var mayFollow = rest.StartsWith(CallBegin, StringComparison.Ordinal) ? end < 0
                : CallBegin.AsSpan().StartsWith(rest, StringComparison.Ordinal) || End.AsSpan().StartsWith(rest, StringComparison.Ordinal);
            if (mayFollow && !ended)
                return CallReading.More;
            // What follows a good call does not unmake it.
            return calls.Count > 0 ? new CallReading(read, calls) : CallReading.Text(Begin.Length);
        }
    }

    private static CallPart? Call(string text)
    {
        var at = text.IndexOf(Separator, StringComparison.Ordinal);
        if (at < 0)
            return null;
        var name = text[..at].Trim();
        var arguments = text[(at + Separator.Length)..].Trim();
        var fence = arguments.IndexOf(Fence, StringComparison.Ordinal);
        if (name == "function" && fence >= 0 && arguments.EndsWith(Fence, StringComparison.Ordinal) && arguments.Length >= fence + (2 * Fence.Length))
        {
            name = arguments[..fence].Trim();
            arguments = arguments[(fence + Fence.Length)..^Fence.Length].Trim();
            arguments = arguments.StartsWith("json", StringComparison.Ordinal) ? arguments[4..].Trim() : arguments;
        }

        return name.Length > 0 && JsonCalls.IsObject(arguments) ? new CallPart(name, arguments) : null;
    }
}
