using System.Text;
using System.Text.Json;

namespace Moebius.Inference.Tools;

/// <summary>Reads calls that are written as JSON, and says them while they come.</summary>
internal static class JsonCalls
{
    private static readonly JsonDocumentOptions Deep = new() { MaxDepth = JsonScanner.MostLevels };

    /// <summary>
    /// Reads an object with name and arguments, or an array of such. A call begins when its arguments do and its name is
    /// known. From then on the mark stands before what no call needs.
    /// </summary>
    /// <param name="feed">Stands at the bracket.</param>
    /// <param name="calls">Where calls are said.</param>
    /// <returns>False: the text is something else, from the beginning or from some place on.</returns>
    public static async Reading<bool> ReadAsync(TextFeed feed, CallWriter calls)
    {
        if (feed.Ready[0] == '{')
            return await CallAsync(feed, calls);
        do
        {
            feed.Advance(1);
            if (!await feed.SkipSpaceAsync() || feed.Ready[0] != '{' || !await CallAsync(feed, calls))
                return false;
            // The call stands, whatever follows.
            feed.SetMark();
            if (!await feed.SkipSpaceAsync())
                return true;
        }
        while (feed.Ready[0] == ',');
        if (feed.Ready[0] != ']')
            return false;
        feed.Advance(1);
        feed.ForgetMark();
        return true;
    }

    /// <summary>Reads a JSON object that is the arguments of a call.</summary>
    /// <param name="feed">Stands at the bracket.</param>
    /// <param name="calls">Where the call is said.</param>
    /// <param name="name">The tool's name.</param>
    /// <returns>False: it is broken off; the call has ended with what there was.</returns>
    public static async Reading<bool> ArgumentsAsync(TextFeed feed, CallWriter calls, string name)
    {
        feed.ForgetMark();
        calls.Begin(name);
        var whole = await ValueAsync(feed, calls.Arguments);
        calls.End(whole);
        return whole;
    }

    /// <summary>Whether a text is a JSON object, such as arguments are.</summary>
    public static bool IsObject(string json)
    {
        try
        {
            using var document = JsonDocument.Parse(json, Deep);
            return document.RootElement.ValueKind == JsonValueKind.Object;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static async Reading<bool> CallAsync(TextFeed feed, CallWriter calls)
    {
        string? name = null;
        string? arguments = null;
        var said = false;
        do
        {
            feed.Advance(1);
            if (!await feed.SkipSpaceAsync() || feed.Ready[0] != '"' || await TextAsync(feed) is not { } key
                || !await feed.SkipSpaceAsync() || feed.Ready[0] != ':')
                return false;
            feed.Advance(1);
            if (!await feed.SkipSpaceAsync())
                return false;
            // Some were trained to write parameters where others write arguments.
            var isArguments = !said && arguments is null && key is "arguments" or "parameters";
            if (isArguments && name is not null && feed.Ready[0] == '{')
            {
                said = true;
                if (!await ArgumentsAsync(feed, calls, name))
                    return false;
                feed.SetMark();
            }
            else
            {
                var value = key == "name" || isArguments ? new StringBuilder() : null;
                if (!await ValueAsync(feed, text => value?.Append(text)))
                    return false;
                if (key == "name" && name is null && (name = Text(value!.ToString())) is null or "")
                    return false;
                if (isArguments && (arguments = Object(value!.ToString())) is null)
                    return false;
            }

            if (!await feed.SkipSpaceAsync())
                return said;
        }
        while (feed.Ready[0] == ',');
        if (name is null || feed.Ready[0] != '}')
            return false;
        feed.Advance(1);
        if (!said)
            calls.Whole(name, arguments ?? "{}");
        return true;
    }

    /// <summary>Reads any value.</summary>
    private static async Reading<bool> ValueAsync(TextFeed feed, PieceReader take)
    {
        var scanner = default(JsonScanner);
        while (await feed.MoreAsync())
        {
            var step = scanner.Push(feed.Ready, out var length);
            take(feed.Ready[..length]);
            feed.Advance(length);
            if (step != JsonStep.More)
                return step != JsonStep.Wrong;
        }

        return false;
    }

    private static async Reading<string?> TextAsync(TextFeed feed)
    {
        var json = new StringBuilder();
        return await ValueAsync(feed, text => json.Append(text)) ? Text(json.ToString()) : null;
    }

    /// <summary>The text that a JSON text stands for; null: the value is none, or holds half of a character.</summary>
    private static string? Text(string json)
    {
        if (json[0] != '"')
            return null;
        using var document = JsonDocument.Parse(json);
        try
        {
            return document.RootElement.GetString();
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>The arguments that a value is: an object, the text of one, as clients send it back, or none.</summary>
    private static string? Object(string json) => json[0] switch
    {
        '{' => json,
        '"' => Text(json) is { } text && IsObject(text) ? text : null,
        _ => json == "null" ? "{}" : null,
    };
}
