using System.Text.Json;
using System.Text.Json.Nodes;
using Moebius.Inference.Text;
using Moebius.Inference.Text.Jinja;

namespace Moebius.Inference.Server;

/// <summary>
/// Refuses what the model's chat template would drop without a word: templates pass over the variables, fields and roles
/// that they do not know, and the model would answer another question than the one that was asked.
/// </summary>
internal static class TemplateCheck
{
    /// <summary>Around a message's number in a conversation whose prompt is only looked through. No letters: templates change their case.</summary>
    private const char Opening = '⟦', Closing = '⟧';

    /// <summary>Shorter texts may also stand in what the template writes by itself, or in a tool.</summary>
    private const int Telling = 24;

    /// <summary>Characters of a text's end that it is searched by, and how many of the places where they stand are looked at.</summary>
    private const int Last = 256, MostTries = 64;

    /// <summary>What every conversation may have: it says who speaks and what is answered, or is for models that reason.</summary>
    private static readonly string[] AnyMessage = ["role", "content", "name", "tool_call_id", "reasoning", "reasoning_content"];

    /// <summary>Refuses fields that cannot have an effect on a prompt.</summary>
    /// <param name="template">The model's.</param>
    /// <param name="body">The request.</param>
    /// <param name="messages">Its messages.</param>
    /// <param name="tools">What it says of tools.</param>
    /// <exception cref="ApiException">The template does not know one of them; the message names it.</exception>
    public static void Fields(ChatTemplate template, RequestBody body, JsonElement messages, ToolRequest tools)
    {
        bool Knows(string name) => template.Knows(name, tools.Offered is not null);
        if (tools is { Offered: not null, Forced: false } && !Knows("tools"))
            throw Unknown("tools", "tells the model of no tools: leave them out, or ask for a call with 'tool_choice'");
        if (body.Flag("add_generation_prompt") == false && !Knows("add_generation_prompt"))
            throw Unknown("add_generation_prompt", "ends every prompt in the same way: leave it out");
        if (body.Text("reasoning_effort") is not null && !Knows("reasoning_effort"))
            throw Unknown("reasoning_effort", "has no degrees of reasoning: leave it out");
        if (body.Object("chat_template_kwargs") is { } more && more.Fields().FirstOrDefault(field => !Knows(field.Name)) is { Value.ValueKind: not JsonValueKind.Undefined } other)
            throw Unknown(more.Name(other.Name), $"has no variable '{other.Name}'");
        foreach (var (i, message) in messages.EnumerateArray().Index())
        {
            foreach (var field in message.EnumerateObject())
            {
                if (!AnyMessage.Contains(field.Name) && !SaysNothing(field.Value) && !Knows(field.Name))
                    throw Unknown($"messages[{i}].{field.Name}", "does not read it");
            }
        }
    }

    /// <summary>Refuses messages that are not in the prompt.</summary>
    /// <param name="prompt">What the template made of them.</param>
    /// <param name="messages">The messages.</param>
    /// <param name="render">Renders others.</param>
    /// <exception cref="ApiException">The template leaves one out; the message names it.</exception>
    public static void Messages(string prompt, JsonElement messages, Func<JsonElement, string> render)
    {
        // Long texts mostly stand there one after another. Where one does not, or is short, a mark in it tells whether it is there.
        var from = 0;
        foreach (var (_, content) in Spoken(messages))
        {
            var text = content.AsSpan().Trim();
            from = text.Length < Telling ? -1 : End(prompt, from, text);
            if (from < 0)
            {
                Look(messages, render);
                return;
            }
        }
    }

    /// <summary>
    /// Where a text ends that stands in the prompt behind a place; negative where it is not found soon. Its end alone is searched for,
    /// and the rest compared where that stands: a search for the whole would take the product of both lengths with texts made for it.
    /// </summary>
    private static int End(ReadOnlySpan<char> prompt, int from, ReadOnlySpan<char> text)
    {
        var last = text[^Math.Min(Last, text.Length)..];
        // The first place at which the end of the text can stand.
        var place = from + text.Length - last.Length;
        for (var tries = 0; tries < MostTries && place <= prompt.Length; tries++)
        {
            var at = prompt[place..].IndexOf(last);
            if (at < 0)
                return -1;
            var end = place + at + last.Length;
            if (prompt[(end - text.Length)..end].SequenceEqual(text))
                return end;
            place += at + 1;
        }

        return -1;
    }

    private static void Look(JsonElement messages, Func<JsonElement, string> render)
    {
        var marked = JsonArray.Create(messages)!;
        foreach (var (i, content) in Spoken(messages))
            marked[i]!["content"] = $"{content}{Opening}{i}{Closing}";
        string prompt;
        try
        {
            prompt = render(JsonSerializer.SerializeToElement(marked));
        }
        catch (JinjaException)
        {
            // It looks at the very letters: then it is not one that passes over them.
            return;
        }

        // As JSON in ASCII has them.
        prompt = prompt.Replace("\\u27e6", $"{Opening}", StringComparison.Ordinal).Replace("\\u27e7", $"{Closing}", StringComparison.Ordinal);
        var found = new HashSet<string>();
        foreach (var part in prompt.Split(Opening).Skip(1))
            found.Add(part[..Math.Max(0, part.IndexOf(Closing, StringComparison.Ordinal))]);
        foreach (var (i, _) in Spoken(messages))
        {
            if (!found.Contains($"{i}"))
                throw Unknown($"messages[{i}]", $"leaves out a message of role '{messages[i].GetProperty("role")}' at this place");
        }
    }

    /// <summary>Messages whose content has to be in the prompt. Beside calls it may be a thought, which templates drop later.</summary>
    private static IEnumerable<(int Index, string Content)> Spoken(JsonElement messages) =>
        from entry in messages.EnumerateArray().Index()
        where !entry.Item.TryGetProperty("tool_calls", out var calls) || SaysNothing(calls)
        let content = entry.Item.GetProperty("content").GetString()
        where !string.IsNullOrWhiteSpace(content)
        select (entry.Index, content);

    private static bool SaysNothing(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null or JsonValueKind.False => true,
        JsonValueKind.String => value.ValueEquals(""),
        JsonValueKind.Array => value.GetArrayLength() == 0,
        JsonValueKind.Object => value.GetPropertyCount() == 0,
        _ => false,
    };

    private static ApiException Unknown(string field, string what) =>
        ApiException.Invalid(field, $"'{field}' has no effect here: the model's chat template {what}.", "unsupported_by_template");
}
