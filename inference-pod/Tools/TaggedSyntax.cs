using System.Buffers;
using System.Text;

namespace Moebius.Inference.Tools;

/// <summary>
/// A call whose arguments stand between tags, one by one, inside <c>&lt;tool_call&gt;</c>. They become members of a JSON
/// object; of several with one name the first counts.
/// </summary>
/// <param name="schemas">Tells texts from other values.</param>
internal abstract class TaggedSyntax(ToolSchemas schemas) : ICallSyntax
{
    protected const string Open = "<tool_call>";
    protected const string Close = "</tool_call>";

    /// <summary>What no name holds.</summary>
    protected static readonly SearchValues<char> NotInNames = SearchValues.Create(" \t\r\n<>{}[]");

    private static readonly SearchValues<char> NotInKeys = SearchValues.Create("<>");

    public Markers Openers { get; } = new(Open);

    public abstract IReadOnlyList<string> Tokens { get; }

    public abstract Reading<bool> ReadAsync(TextFeed feed, CallWriter calls);

    /// <summary>Reads arguments, and says the call that they are of.</summary>
    /// <param name="feed">Stands before the first key's tag, or what follows the last value's.</param>
    /// <param name="calls">Where the call is said.</param>
    /// <param name="name">The tool's name.</param>
    /// <param name="tags">What the arguments stand between.</param>
    /// <returns>False: it is broken off; the call has ended with what there was.</returns>
    protected async Reading<bool> ArgumentsAsync(TextFeed feed, CallWriter calls, string name, Tags tags)
    {
        calls.Begin(name);
        var keys = new HashSet<string>();
        while (true)
        {
            feed.SetMark();
            await feed.SkipSpaceAsync();
            if (await feed.TakeAsync(tags.End))
                break;
            if (!await feed.TakeAsync(tags.Key) || await feed.ReadUntilAsync(tags.KeyEnd, AnswerFormat.LongestHeader, NotInKeys) is not { } written)
                return Broken();
            if (tags.Value.Length > 0 && (!await feed.SkipSpaceAsync() || !await feed.TakeAsync(tags.Value)))
                return Broken();
            feed.ForgetMark();
            var key = written.Trim();
            var first = keys.Add(key);
            if (first)
                calls.Arguments($"{(keys.Count == 1 ? "{" : ", ")}{ToolSchemas.Quoted(key)}: ");
            if (!await ValueAsync(feed, schemas.IsText(name, key), tags, first ? calls.Arguments : static _ => { }))
                return Broken();
        }

        feed.ForgetMark();
        calls.Arguments(keys.Count == 0 ? "{}" : "}");
        calls.End(true);
        return true;

        bool Broken()
        {
            // What the token limit cuts off belongs to the call, and is of no use.
            if (feed.Ended)
            {
                feed.ForgetMark();
                feed.Advance(feed.Ready.Length);
            }

            calls.End(false);
            return false;
        }
    }

    /// <summary>Reads a value and says its JSON: a text's as it comes, any other's when it is complete.</summary>
    private static async Reading<bool> ValueAsync(TextFeed feed, bool isText, Tags tags, PieceReader say)
    {
        if (isText)
        {
            var text = new JsonText(say, tags.OwnLines);
            if (await feed.CopyUntilAsync(tags.ValueEnd, text.Add) is null)
                return false;
            text.End();
            return true;
        }

        var whole = new StringBuilder();
        if (await feed.CopyUntilAsync(tags.ValueEnd, piece => whole.Append(piece)) is null)
            return false;
        say(ToolSchemas.Json(JsonText.Trimmed(whole.ToString(), tags.OwnLines)));
        return true;
    }

    /// <summary>What a form puts between keys and values.</summary>
    /// <param name="Key">Before a key.</param>
    /// <param name="KeyEnd">Behind it.</param>
    /// <param name="Value">Before its value; empty: nothing.</param>
    /// <param name="ValueEnd">Behind it.</param>
    /// <param name="End">Behind the last one.</param>
    /// <param name="OwnLines">A value stands on lines of its own: the breaks around it are not part of it.</param>
    protected sealed record Tags(string Key, string KeyEnd, string Value, Markers ValueEnd, string End, bool OwnLines);
}

/// <summary><c>&lt;tool_call&gt;name &lt;arg_key&gt;key&lt;/arg_key&gt; &lt;arg_value&gt;value&lt;/arg_value&gt; ..&lt;/tool_call&gt;</c>: GLM-4.5.</summary>
internal sealed class Glm45Syntax(ToolSchemas schemas) : TaggedSyntax(schemas)
{
    private const string ValueEnd = "</arg_value>";

    private static readonly Tags Form = new("<arg_key>", "</arg_key>", "<arg_value>", new Markers(ValueEnd), Close, false);

    public override IReadOnlyList<string> Tokens { get; } = [Open, Close, Form.Key, Form.KeyEnd, Form.Value, ValueEnd];

    public override async Reading<bool> ReadAsync(TextFeed feed, CallWriter calls)
    {
        if (await feed.ReadUntilAsync("<", AnswerFormat.LongestHeader) is not { } header)
            return true;
        feed.Advance(-1);
        var name = header.Trim();
        // The tag behind the name shows that it is one.
        if (name.Length > 0 && !name.AsSpan().ContainsAny(NotInNames) && (await feed.IsNextAsync(Form.Key) || await feed.IsNextAsync(Close)))
            await ArgumentsAsync(feed, calls, name, Form);
        return true;
    }
}

/// <summary><c>&lt;tool_call&gt;&lt;function=name&gt; &lt;parameter=key&gt; value &lt;/parameter&gt; .. &lt;/function&gt;&lt;/tool_call&gt;</c>: Qwen3-Coder.</summary>
internal sealed class Qwen3CoderSyntax(ToolSchemas schemas) : TaggedSyntax(schemas)
{
    private static readonly Tags Form = new("<parameter=", ">", "", new Markers("</parameter>"), "</function>", true);

    public override IReadOnlyList<string> Tokens { get; } = [Open, Close];

    public override async Reading<bool> ReadAsync(TextFeed feed, CallWriter calls)
    {
        await feed.SkipSpaceAsync();
        if (!await feed.TakeAsync("<function=") || await feed.ReadUntilAsync(">", AnswerFormat.LongestHeader, NotInNames) is not { Length: > 0 } name || !await ArgumentsAsync(feed, calls, name, Form))
            return true;
        await feed.CloseAsync(Close);
        return true;
    }
}
