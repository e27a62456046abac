using System.Globalization;
using System.Numerics;
using System.Text.Json;
using Moebius.Crds;
using Moebius.Inference.Text.Jinja;

namespace Moebius.Inference.Text;

/// <summary>
/// A model's own way of turning messages into one text: <c>chat_template.jinja</c>, or <c>chat_template</c> of
/// <c>tokenizer_config.json</c>. Thread-safe.
/// </summary>
internal sealed class ChatTemplate
{
    public const string File = "chat_template.jinja";

    /// <summary>A folder of further templates, a file NAME.jinja for each.</summary>
    public const string Others = "additional_chat_templates";

    private const string Default = "default", ForTools = "tool_use";

    private readonly Template _template;
    private readonly Template? _toolTemplate;
    private readonly Dictionary<string, object?> _tokens;

    private ChatTemplate(Template template, Template? toolTemplate, Dictionary<string, object?> tokens, string source)
    {
        Source = source;
        _template = template;
        _toolTemplate = toolTemplate;
        _tokens = tokens;
    }

    /// <summary>What was parsed: the template for tools where there is one.</summary>
    public string Source { get; }

    /// <summary>The template of a model directory; null when it has none.</summary>
    /// <exception cref="UserInputException">A file is damaged or the template uses what is not supported.</exception>
    public static ChatTemplate? Load(string directory)
    {
        var config = TokenizerConfig.Load(directory);
        var tokens = config is null ? [] : config.Tokens.ToDictionary(token => token.Key, token => (object?)token.Value);
        string file = Path.Combine(directory, File), others = Path.Combine(directory, Others), tools = Path.Combine(others, ForTools + ".jinja");
        if (System.IO.File.Exists(file))
            return Create(System.IO.File.ReadAllText(file), System.IO.File.Exists(tools) ? System.IO.File.ReadAllText(tools) : null, tokens, file, tools);
        // The reference library reads none but those of the folder then, and has no default.
        if (Directory.Exists(others) && Directory.EnumerateFiles(others, "*.jinja").Any())
            throw new UserInputException($"{others}: holds templates beside the default one, which must be {file}");
        if (config?.ChatTemplate is not { } source)
            return null;
        var path = config.Path;
        if (Text(source) is { } single)
            return Create(single, null, tokens, path + ": chat_template");
        if (source.ValueKind != JsonValueKind.Array)
            throw new UserInputException($"{path}: chat_template: must be a text or a list of named texts");

        // Older files hold several templates by name; 'tool_use' applies where tools are given.
        var named = Named(source, path);
        return named.TryGetValue(Default, out var standard)
            ? Create(standard, named.GetValueOrDefault(ForTools), tokens, path + ": chat_template")
            : throw new UserInputException($"{path}: chat_template: none of the templates is named 'default'");
    }

    private static Dictionary<string, string> Named(JsonElement list, string path)
    {
        var named = new Dictionary<string, string>();
        foreach (var (i, entry) in list.EnumerateArray().Index())
        {
            if (entry.ValueKind != JsonValueKind.Object || !entry.TryGetProperty("name", out var name) || !entry.TryGetProperty("template", out var template)
                || Text(name) is not { } key || Text(template) is not { } text)
                throw new UserInputException($"{path}: chat_template[{i}]: must have the texts 'name' and 'template'");
            if (!named.TryAdd(key, text))
                throw new UserInputException($"{path}: chat_template[{i}]: the name '{key}' stands twice");
        }

        return named;
    }

    private static string? Text(JsonElement element) => element.ValueKind == JsonValueKind.String ? element.GetString() : null;

    /// <summary>Makes one from its source.</summary>
    /// <param name="source">The template.</param>
    /// <param name="toolSource">The one for conversations with tools; null: the same.</param>
    /// <param name="tokens">Special tokens by their roles.</param>
    /// <param name="name">Where the template is, for errors.</param>
    /// <param name="toolName">Where the other one is; null: at the same place.</param>
    /// <exception cref="UserInputException">One uses what is not supported.</exception>
    public static ChatTemplate Create(string source, string? toolSource, Dictionary<string, object?> tokens, string name, string? toolName = null) =>
        new(Parse(source, name), toolSource is null ? null : Parse(toolSource, toolName ?? name), tokens, toolSource ?? source);

    private static Template Parse(string source, string name)
    {
        try
        {
            return Template.Parse(source);
        }
        catch (JinjaException error)
        {
            throw new UserInputException($"{name}: {error.Message}", error);
        }
    }

    /// <summary>The prompt for a conversation.</summary>
    /// <param name="messages">A JSON array of messages.</param>
    /// <param name="tools">A JSON array of tools, or null.</param>
    /// <param name="addGenerationPrompt">Open the assistant's turn.</param>
    /// <param name="more">Further variables of the template, a JSON object, or null.</param>
    /// <param name="clock">What <c>strftime_now</c> reads.</param>
    /// <exception cref="JinjaException">The template refuses the messages.</exception>
    public string Render(JsonElement messages, JsonElement? tools, bool addGenerationPrompt, JsonElement? more, TimeProvider clock)
    {
        var variables = new Dictionary<string, object?>(_tokens)
        {
            ["messages"] = FromJson(messages),
            ["tools"] = tools is { } list ? FromJson(list) : null,
            ["documents"] = null,
            ["add_generation_prompt"] = addGenerationPrompt,
        };
        if (more is { } extra)
        {
            foreach (var field in extra.EnumerateObject())
                variables[field.Name] = FromJson(field.Value);
        }

        return For(tools is not null).Render(variables, clock);
    }

    /// <summary>Whether a variable or field of this name can have an effect.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="withTools">Tools are given.</param>
    public bool Knows(string name, bool withTools) => For(withTools).Knows(name);

    private Template For(bool withTools) => withTools && _toolTemplate is not null ? _toolTemplate : _template;

    private static object? FromJson(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                var map = new JinjaMap();
                foreach (var field in element.EnumerateObject())
                    map[field.Name] = FromJson(field.Value);
                return map;
            case JsonValueKind.Array:
                return new JinjaList([.. element.EnumerateArray().Select(FromJson)]);
            case JsonValueKind.String:
                return element.GetString();
            case JsonValueKind.Number:
                return element.TryGetInt64(out var integer) ? (object)integer : BigInteger.TryParse(element.GetRawText(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var big) ? big : element.GetDouble();
            case JsonValueKind.True:
                return true;
            case JsonValueKind.False:
                return false;
            default:
                return null;
        }
    }
}
