namespace Moebius.Inference.Tools;

/// <summary>
/// Reads an answer that its grammar keeps to calls and nothing else: an array of calls, or the arguments of one whose
/// tool is given. What the token limit cuts off stays content.
/// </summary>
/// <param name="tool">The tool; null: the answer names them.</param>
internal sealed class GivenCallReader(string? tool) : IAnswerReader
{
    private string held = "";

    public IReadOnlyList<AnswerPart> Append(string text)
    {
        held += text;
        var parts = new List<AnswerPart>();
        while (true)
        {
            var at = held.Length - held.AsSpan().TrimStart(" \n\t[,").Length;
            var end = at < held.Length && held[at] == '{' ? JsonCalls.End(held, at) : -1;
            if (end < 0 || Calls(held[at..end]) is not { } calls)
                return parts;
            parts.AddRange(calls);
            held = held[end..];
        }
    }

    public IReadOnlyList<AnswerPart> Finish() => held.AsSpan().Trim(" \n\t[],").IsEmpty ? [] : [new ContentPart(held)];

    private IReadOnlyList<CallPart>? Calls(string json) =>
        tool is null ? JsonCalls.Parse(json) : JsonCalls.IsObject(json) ? [new CallPart(tool, json)] : null;
}
