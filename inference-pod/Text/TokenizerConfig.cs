using System.Globalization;
using System.Text.Json;
using Moebius.Crds;
using Moebius.Crds.Host;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Text;

/// <summary>
/// What <c>tokenizer_config.json</c> of a model directory says beside <c>tokenizer.json</c>: the special tokens by their roles, the
/// chat template of older checkpoints, which tokens stand around a text, and further added tokens.
/// </summary>
internal sealed class TokenizerConfig
{
    public const string Name = "tokenizer_config.json";

    private static readonly string[] Roles = ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"];

    private const string Decoder = "added_tokens_decoder";
    private const int LargestId = 1 << 24;

    private readonly JsonElement _fields;

    private TokenizerConfig(string path, JsonElement fields)
    {
        Path = path;
        _fields = fields;
        var tokens = new Dictionary<string, string>();
        foreach (var role in Roles)
        {
            // As in the reference library, one that is null or empty is none: a template has no variable for it.
            if (fields.TryGetProperty(role, out var value) && Token(value, role) is { Length: > 0 } token)
                tokens[role] = token;
        }

        Tokens = tokens;
        ChatTemplate = fields.TryGetProperty("chat_template", out var template) && template.ValueKind != JsonValueKind.Null ? template : null;
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Text of the special tokens by role (<c>bos_token</c>).</summary>
    public IReadOnlyDictionary<string, string> Tokens { get; }

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
            using var document = JsonDocument.Parse(FileKinds.ReadAllBytes(path));
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

    /// <summary>
    /// The tokens of a tokenizer with those of <c>added_tokens_decoder</c>. As in the reference library, tokens that it names and
    /// <c>tokenizer.json</c> does not are added, and what it says of those that both have counts.
    /// </summary>
    /// <param name="added">Added tokens of <c>tokenizer.json</c>.</param>
    /// <param name="vocabulary">Tokens of its model.</param>
    /// <param name="file">Names it in errors.</param>
    /// <exception cref="UserInputException">A token has another id there, or an id another token.</exception>
    public List<AddedToken> Complete(List<AddedToken> added, IReadOnlyDictionary<string, int> vocabulary, string file)
    {
        if (!_fields.TryGetProperty(Decoder, out var entries) || entries.ValueKind == JsonValueKind.Null)
            return added;
        if (entries.ValueKind != JsonValueKind.Object)
            throw new UserInputException($"{Path}: {Decoder}: must be an object");
        var complete = added.ToList();
        var ids = new Dictionary<string, int>(vocabulary, StringComparer.Ordinal);
        var contents = vocabulary.GroupBy(token => token.Value).ToDictionary(group => group.Key, group => group.First().Key);
        foreach (var token in added)
            (ids[token.Content], contents[token.Id]) = (token.Id, token.Content);
        foreach (var entry in entries.EnumerateObject())
        {
            if (!int.TryParse(entry.Name, NumberStyles.None, CultureInfo.InvariantCulture, out var id) || id > LargestId)
                throw new UserInputException($"{Path}: {Decoder}: '{entry.Name}' must be a token id");
            var field = $"{Decoder}.{entry.Name}";
            if (entry.Value.ValueKind != JsonValueKind.Object || !entry.Value.TryGetProperty("content", out var text) || text.ValueKind != JsonValueKind.String)
                throw new UserInputException($"{Path}: {field}: must be an object with the text 'content'");
            var content = text.GetString()!;
            if (content.Length == 0)
                continue;
            if (ids.TryGetValue(content, out var known) ? known != id : contents.ContainsKey(id))
                throw new UserInputException($"{Path}: {field}: '{content}' has the id {(ids.ContainsKey(content) ? $"{known}" : $"of '{contents[id]}'")} in {file}");
            var special = Flag("special", false);
            var token = new AddedToken(id, content, special, Flag("normalized", !special), Flag("single_word", false), Flag("lstrip", false), Flag("rstrip", false));
            var at = complete.FindIndex(one => one.Content == content);
            if (at < 0)
                complete.Add(token);
            else
                complete[at] = token with { Special = special || complete[at].Special, Normalized = complete[at].Normalized };
            (ids[content], contents[id]) = (id, content);

            bool Flag(string name, bool absent) => !entry.Value.TryGetProperty(name, out var value) ? absent
                : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw new UserInputException($"{Path}: {field}.{name}: must be true or false");
        }

        return complete;
    }

    private string? Token(JsonElement token, string role)
    {
        if (token.ValueKind == JsonValueKind.Null)
            return null;
        var text = token.ValueKind != JsonValueKind.Object ? token : token.TryGetProperty("content", out var content) ? content : default;
        return text.ValueKind == JsonValueKind.String ? text.GetString() : throw new UserInputException($"{Path}: {role}: must be a text, an object with the text 'content', or null");
    }
}
