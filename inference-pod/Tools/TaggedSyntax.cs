using System.Text.RegularExpressions;

namespace Moebius.Inference.Tools;

/// <summary>A call whose arguments stand between tags, one by one, inside <c>&lt;tool_call&gt;</c>.</summary>
/// <param name="schemas">Tells texts from other values.</param>
internal abstract class TaggedSyntax(ToolSchemas schemas) : ICallSyntax
{
    private const string Open = "<tool_call>";
    private const string Close = "</tool_call>";

    public IReadOnlyList<string> Openers { get; } = [Open];

    public abstract IReadOnlyList<string> Markers { get; }

    protected static IReadOnlyList<string> Ends { get; } = [Open, Close];

    public CallReading Read(string text, bool ended)
    {
        var end = text.IndexOf(Close, StringComparison.Ordinal);
        if (end < 0 && !ended)
            return CallReading.More;
        // A model that ends its turn at once has still called.
        var body = end < 0 ? text[Open.Length..] : text[Open.Length..end];
        var match = Body().Match(body.Trim());
        if (!match.Success)
            return CallReading.Text(Open.Length);
        var name = match.Groups["name"].Value.Trim();
        var values = match.Groups["key"].Captures.Zip(match.Groups["value"].Captures, (key, value) => (key.Value.Trim(), Value(value.Value))).ToList();
        return new CallReading(end < 0 ? text.Length : end + Close.Length, [new CallPart(name, schemas.Object(name, values))]);
    }

    /// <summary>The whole body: name, and keys with values.</summary>
    protected abstract Regex Body();

    /// <summary>A value without what belongs to the form.</summary>
    protected virtual string Value(string written) => written;
}

/// <summary><c>&lt;tool_call&gt;name &lt;arg_key&gt;key&lt;/arg_key&gt; &lt;arg_value&gt;value&lt;/arg_value&gt; ..&lt;/tool_call&gt;</c>: GLM-4.5.</summary>
internal sealed partial class Glm45Syntax(ToolSchemas schemas) : TaggedSyntax(schemas)
{
    public override IReadOnlyList<string> Markers { get; } = [.. Ends, "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"];

    protected override Regex Body() => Form();

    [GeneratedRegex(@"^(?<name>[^\s<>{}\[\]]+)\s*(?><arg_key>(?<key>.*?)</arg_key>\s*<arg_value>(?<value>.*?)</arg_value>\s*)*$", RegexOptions.Singleline | RegexOptions.CultureInvariant)]
    private static partial Regex Form();
}

/// <summary><c>&lt;tool_call&gt;&lt;function=name&gt; &lt;parameter=key&gt; value &lt;/parameter&gt; .. &lt;/function&gt;&lt;/tool_call&gt;</c>: Qwen3-Coder.</summary>
internal sealed partial class Qwen3CoderSyntax(ToolSchemas schemas) : TaggedSyntax(schemas)
{
    public override IReadOnlyList<string> Markers => Ends;

    protected override Regex Body() => Form();

    /// <summary>Without the line breaks that stand around it.</summary>
    protected override string Value(string written)
    {
        var from = written.StartsWith('\n') ? 1 : 0;
        return written[from..(written.Length - (written.Length > from && written.EndsWith('\n') ? 1 : 0))];
    }

    [GeneratedRegex(@"^<function=(?<name>[^\s<>]+)>\s*(?><parameter=(?<key>[^<>]+)>(?<value>.*?)</parameter>\s*)*</function>$", RegexOptions.Singleline | RegexOptions.CultureInvariant)]
    private static partial Regex Form();
}
