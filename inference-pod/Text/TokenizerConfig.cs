using System.Text.Json;
using Moebius.Crds;

namespace Moebius.Inference.Text;

/// <summary>
/// What <c>tokenizer_config.json</c> of a model directory says beside <c>tokenizer.json</c>: the special tokens by their roles, the
/// chat template of older checkpoints, and which tokens stand around a text.
/// </summary>
internal sealed class TokenizerConfig
{
    public const string Name = "tokenizer_config.json";

    private static readonly string[] Roles = ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"];

    private readonly JsonElement _fields;

    private TokenizerConfig(string path, JsonElement fields)
    {
        Path = path;
        _fields = fields;
        var tokens = new Dictionary<string, string?>();
        foreach (var role in Roles)
        {
            if (fields.TryGetProperty(role, out var token))
                tokens[role] = Token(token, role);
        }

        Tokens = tokens;
        ChatTemplate = fields.TryGetProperty("chat_template", out var template) && template.ValueKind != JsonValueKind.Null ? template : null;
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Text of the special tokens by role (<c>bos_token</c>); null where the role is named and empty.</summary>
    public IReadOnlyDictionary<string, string?> Tokens { get; }

    /// <summary>The chat template, or a list of named ones; null when there is none.</summary>
    public JsonElement? ChatTemplate { get; }

    /// <summary>The file of a model directory; null when there is none.</summary>
    /// <exception cref="UserInputException">It is damaged.</exception>
    public static TokenizerConfig? Load(string directory)
    {
        var path = System.IO.Path.Combine(directory, Name);
        if (!File.Exists(path))
            return null;
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? new TokenizerConfig(path, document.RootElement.Clone())
                : throw new UserInputException($"{path}: is a JSON {document.RootElement.ValueKind}; it must be an object");
        }
        catch (JsonException error)
        {
            throw new UserInputException($"{path}: not valid JSON: {error.Message}", error);
        }
    }

    /// <summary>
    /// The token that <c>add_bos_token</c> or <c>add_eos_token</c> puts around a text, or keeps away from it; null where the post-processor of
    /// <c>tokenizer.json</c> decides. Only tokenizers of the Llama class are made by these switches: DeepSeek's have no post-processor
    /// that adds the token with which the model was trained. Those of other classes carry the switches without an effect.
    /// </summary>
    /// <param name="role"><c>bos</c> or <c>eos</c>.</param>
    /// <exception cref="UserInputException">The switch is no truth value, or no token is named.</exception>
    public (string Token, bool Added)? Around(string role)
    {
        if (!_fields.TryGetProperty("tokenizer_class", out var tokenizer) || tokenizer.ValueKind != JsonValueKind.String || tokenizer.GetString() is not ("LlamaTokenizer" or "LlamaTokenizerFast"))
            return null;
        var name = $"add_{role}_token";
        if (!_fields.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null)
            return null;
        if (value.ValueKind is not (JsonValueKind.True or JsonValueKind.False))
            throw new UserInputException($"{Path}: {name}: is {value.GetRawText()}; it must be true or false");
        if (Tokens.GetValueOrDefault($"{role}_token") is { } token)
            return (token, value.GetBoolean());
        return value.GetBoolean() ? throw new UserInputException($"{Path}: {name}: is true, but {role}_token names no token") : null;
    }

    private string? Token(JsonElement token, string role)
    {
        if (token.ValueKind == JsonValueKind.Null)
            return null;
        var text = token.ValueKind != JsonValueKind.Object ? token : token.TryGetProperty("content", out var content) ? content : default;
        return text.ValueKind == JsonValueKind.String ? text.GetString() : throw new UserInputException($"{Path}: {role}: must be a text, an object with the text 'content', or null");
    }
}
