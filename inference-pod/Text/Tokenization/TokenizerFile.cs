using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Moebius.Crds;
using Moebius.Crds.Host;

namespace Moebius.Inference.Text.Tokenization;

/// <summary>
/// Reads <c>tokenizer.json</c>. A part that is not supported is refused by name: guessing would change tokens silently.
/// </summary>
internal sealed partial class TokenizerFile
{
    public const string Name = "tokenizer.json";
    private const char Mark = '\u2581';

    private readonly string _path;
    private readonly TimeSpan _longestMatch;
    private bool _byteLevel;

    private TokenizerFile(string path, TimeSpan longestMatch) => (_path, _longestMatch) = (path, longestMatch);

    /// <summary>Reads a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="config">What else is said of the model's tokens; null: nothing.</param>
    /// <param name="longestMatch">What one match of an expression may take.</param>
    /// <exception cref="UserInputException">There is no such file, or it is damaged or of a kind that is not supported.</exception>
    public static Tokenizer Load(string path, TokenizerConfig? config, TimeSpan longestMatch)
    {
        if (!File.Exists(path))
            throw new UserInputException($"{path}: not found: a model directory holds its tokenizer there");
        try
        {
            using var document = JsonDocument.Parse(FileKinds.ReadAllBytes(path));
            return new TokenizerFile(path, longestMatch).Read(document.RootElement, config);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or KeyNotFoundException or FormatException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new UserInputException($"{path}: not a tokenizer file: {error.Message}", error);
        }
    }

    private Tokenizer Read(JsonElement root, TokenizerConfig? config)
    {
        if (root.ValueKind != JsonValueKind.Object)
            throw new FormatException($"it is a JSON {root.ValueKind}, must be a JSON Object");
        var normalizer = Object(root, "normalizer") is { } normalization ? Normalizer(normalization) : null;
        var preTokenizer = Object(root, "pre_tokenizer") is { } splitting ? PreTokenizer(splitting) : null;
        var model = Object(root, "model") ?? throw Unsupported("model", "absent");
        var added = Added(root);
        var vocabulary = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var entry in NeededObject(model, "vocab").EnumerateObject())
            vocabulary[entry.Name] = Id(entry.Value, $"model.vocab: the id of '{entry.Name}'");
        added = config?.Complete(added, vocabulary, _path) ?? added;
        var (prefix, suffix) = Object(root, "post_processor") is { } post ? PostProcessor(post) : ([], []);
        Around("bos", prefix, 0);
        Around("eos", suffix, suffix.Count);
        var byteFallback = Flag(model, "byte_fallback");
        return new Tokenizer(normalizer, preTokenizer, Model(model, vocabulary, byteFallback), added, Bytes(vocabulary, added, byteFallback), prefix, suffix, Object(root, "decoder") is { } decoder ? LeadingSpaces(decoder) : 0);

        void Around(string role, List<int> tokens, int place)
        {
            if (config?.Around(role) is not { } token)
                return;
            if ((added.Find(one => one.Content == token.Token)?.Id ?? (vocabulary.TryGetValue(token.Token, out var known) ? known : null)) is not { } id)
                throw new UserInputException($"{config.Path}: {role}_token: '{token.Token}' is no token of {_path}");
            if (!token.Added)
                tokens.RemoveAll(one => one == id);
            else if (!tokens.Contains(id))
                tokens.Insert(place, id);
        }
    }

    private BpeModel Model(JsonElement model, Dictionary<string, int> vocabulary, bool byteFallback)
    {
        if (Text(model, "type") is { } type and not "BPE")
            throw Unsupported("model.type", type);
        // At random it would not merge: one text would have many readings.
        if (model.TryGetProperty("dropout", out var dropout) && dropout.ValueKind != JsonValueKind.Null && !(dropout.ValueKind == JsonValueKind.Number && dropout.GetDouble() == 0))
            throw Unsupported("model.dropout", dropout.GetRawText());
        foreach (var affix in new[] { "continuing_subword_prefix", "end_of_word_suffix" })
        {
            if (!string.IsNullOrEmpty(Text(model, affix)))
                throw Unsupported($"model.{affix}", Text(model, affix)!);
        }

        var merges = new Dictionary<(int Left, int Right), (int Rank, int Merged)>();
        var rank = 0;
        foreach (var merge in List(model, "merges"))
        {
            string left, right;
            if (merge.ValueKind == JsonValueKind.Array && merge.GetArrayLength() == 2 && merge.EnumerateArray().All(token => token.ValueKind == JsonValueKind.String))
            {
                (left, right) = (merge[0].GetString()!, merge[1].GetString()!);
            }
            else
            {
                var text = merge.ValueKind == JsonValueKind.String ? merge.GetString()! : throw new FormatException($"model.merges[{rank}] must be two tokens, as a list or in one text");
                var space = text.IndexOf(' ', 1);
                if (space < 0)
                    throw new UserInputException($"{_path}: model.merges[{rank}]: '{text}' is not two tokens separated by a space");
                (left, right) = (text[..space], text[(space + 1)..]);
            }

            if (!vocabulary.TryGetValue(left, out var leftId) || !vocabulary.TryGetValue(right, out var rightId) || !vocabulary.TryGetValue(left + right, out var merged))
                throw new UserInputException($"{_path}: model.merges[{rank}]: '{left}' + '{right}' names a token that the vocabulary lacks");
            merges.TryAdd((leftId, rightId), (rank++, merged));
        }

        var unknown = Text(model, "unk_token");
        int? unknownId = unknown is not null && vocabulary.TryGetValue(unknown, out var id) ? id : null;
        var bpe = new BpeModel(vocabulary, merges, unknownId, Flag(model, "fuse_unk"), byteFallback, Flag(model, "ignore_merges"));
        // The reference library fails with the first text that needs it. Where each byte has a token none does.
        return unknown is null || unknownId is not null || bpe.KnowsAllBytes(_byteLevel)
            ? bpe
            : throw new UserInputException($"{_path}: model.unk_token: '{unknown}' is no token of the vocabulary: name one that is, or write null");
    }

    private List<AddedToken> Added(JsonElement root)
    {
        var added = new List<AddedToken>();
        if (Given(root, "added_tokens", JsonValueKind.Array) is not { } list)
            return added;
        foreach (var token in list.EnumerateArray())
        {
            if (token.ValueKind != JsonValueKind.Object || !token.TryGetProperty("id", out var number))
                throw new FormatException($"added_tokens[{added.Count}] must be an object with an id and a content");
            var id = Id(number, $"added_tokens[{added.Count}].id");
            if (id is < 0 or > 1 << 24)
                throw new UserInputException($"{_path}: added_tokens: id {id} is out of range");
            added.Add(new AddedToken(
                id,
                NeededText(token, "content"),
                Flag(token, "special"),
                Flag(token, "normalized"),
                Flag(token, "single_word"),
                Flag(token, "lstrip"),
                Flag(token, "rstrip")));
        }

        return added;
    }

    // What each id stands for, exactly: tokens may hold parts of a character.
    private byte[][] Bytes(Dictionary<string, int> vocabulary, List<AddedToken> added, bool byteFallback)
    {
        var count = Math.Max(vocabulary.Values.DefaultIfEmpty(-1).Max(), added.Select(token => token.Id).DefaultIfEmpty(-1).Max()) + 1;
        if (count > 1 << 24 || vocabulary.Values.Any(id => id < 0))
            throw new UserInputException($"{_path}: model.vocab: ids must lie in 0..{1 << 24}");
        var bytes = new byte[count][];
        Array.Fill(bytes, []);
        foreach (var (token, id) in vocabulary)
            bytes[id] = _byteLevel ? ByteAlphabet.Decode(token) ?? Encoding.UTF8.GetBytes(token) : Encoding.UTF8.GetBytes(token.Replace(Mark, ' '));
        for (var value = 0; byteFallback && value < 256; value++)
        {
            if (vocabulary.TryGetValue(BpeModel.ByteToken((byte)value), out var id))
                bytes[id] = [(byte)value];
        }

        foreach (var token in added)
            bytes[token.Id] = Encoding.UTF8.GetBytes(token.Content);
        return bytes;
    }

    private ITextNormalizer Normalizer(JsonElement element) => Text(element, "type") switch
    {
        "Sequence" => new SequenceNormalizer([.. List(element, "normalizers").Select(Normalizer)]),
        "NFC" => new UnicodeNormalizer(NormalizationForm.FormC),
        "NFD" => new UnicodeNormalizer(NormalizationForm.FormD),
        "NFKC" => new UnicodeNormalizer(NormalizationForm.FormKC),
        "NFKD" => new UnicodeNormalizer(NormalizationForm.FormKD),
        "StripAccents" => new StripAccentsNormalizer(),
        "Nmt" => new NmtNormalizer(),
        "Prepend" => new PrependNormalizer(NeededText(element, "prepend")),
        "Replace" => new ReplaceNormalizer(Pattern(NeededObject(element, "pattern"), "normalizer.pattern"), NeededText(element, "content")),
        "Strip" => new StripNormalizer(Flag(element, "strip_left"), Flag(element, "strip_right")),
        "Lowercase" => new LowercaseNormalizer(),
        var type => throw Unsupported("normalizer.type", type),
    };

    private IPreTokenizer PreTokenizer(JsonElement element)
    {
        var type = Text(element, "type");
        switch (type)
        {
            case "Sequence":
                return new SequencePreTokenizer([.. List(element, "pretokenizers").Select(PreTokenizer)]);
            case "ByteLevel":
                _byteLevel = true;
                return new ByteLevelPreTokenizer(Flag(element, "add_prefix_space"), Flag(element, "use_regex", absent: true));
            case "Split":
                var behavior = Text(element, "behavior");
                if (!Enum.GetNames<SplitBehavior>().Contains(behavior))
                    throw Unsupported("pre_tokenizer.behavior", behavior);
                AstralRanges? named = null;
                var pattern = Pattern(NeededObject(element, "pattern"), "pre_tokenizer.pattern", expression => AstralRanges.Rewrite(expression, out named));
                return new SplitPreTokenizer(pattern, Enum.Parse<SplitBehavior>(behavior!), Flag(element, "invert"), named);
            case "Digits":
                return new DigitsPreTokenizer(Flag(element, "individual_digits"));
            case "Metaspace":
                return Metaspace(element);
            default:
                throw Unsupported("pre_tokenizer.type", type);
        }
    }

    private MetaspacePreTokenizer Metaspace(JsonElement element)
    {
        // Files written before prepend_scheme existed say add_prefix_space.
        var scheme = Text(element, "prepend_scheme") switch
        {
            "always" => PrependScheme.Always,
            "first" => PrependScheme.First,
            "never" => PrependScheme.Never,
            null => Flag(element, "add_prefix_space", absent: true) ? PrependScheme.Always : PrependScheme.Never,
            var other => throw Unsupported("pre_tokenizer.prepend_scheme", other),
        };
        if (Text(element, "replacement") is { } replacement && replacement != Mark.ToString())
            throw Unsupported("pre_tokenizer.replacement", replacement);
        return new MetaspacePreTokenizer(Mark, scheme, Flag(element, "split", absent: true));
    }

    /// <summary>Spaces that a decoder takes off the beginning of a text; all else that it may do is in what each id stands for.</summary>
    private int LeadingSpaces(JsonElement element) => Text(element, "type") switch
    {
        "Sequence" => List(element, "decoders").Sum(LeadingSpaces),
        // At the end of every text it would take off what the model wrote.
        "Strip" when element.TryGetProperty("stop", out var stop) && Id(stop, "decoder.stop") != 0 => throw Unsupported("decoder.stop", stop.GetRawText()),
        "Metaspace" when Text(element, "replacement") is { } replacement && replacement != Mark.ToString() => throw Unsupported("decoder.replacement", replacement),
        "Strip" when Text(element, "content") == " " && element.TryGetProperty("start", out var start) => Id(start, "decoder.start"),
        "Metaspace" => Text(element, "prepend_scheme") is "never" || (Text(element, "prepend_scheme") is null && !Flag(element, "add_prefix_space", absent: true)) ? 0 : 1,
        "ByteLevel" or "ByteFallback" or "Fuse" => 0,
        "Replace" when Text(NeededObject(element, "pattern"), "String") == Mark.ToString() && Text(element, "content") == " " => 0,
        var type => throw Unsupported("decoder.type", type is "Strip" or "Replace" ? element.GetRawText() : type),
    };

    private (List<int> Prefix, List<int> Suffix) PostProcessor(JsonElement element)
    {
        var type = Text(element, "type");
        var prefix = new List<int>();
        var suffix = new List<int>();
        switch (type)
        {
            case "ByteLevel":
                break;
            case "Sequence":
                foreach (var step in List(element, "processors"))
                {
                    var (before, after) = PostProcessor(step);
                    prefix.InsertRange(0, before);
                    suffix.AddRange(after);
                }

                break;
            case "TemplateProcessing":
                var ids = NeededObject(element, "special_tokens");
                var seen = false;
                foreach (var part in List(element, "single"))
                {
                    if (part.TryGetProperty("SpecialToken", out var token))
                        (seen ? suffix : prefix).AddRange(List(NeededObject(ids, NeededText(token, "id")), "ids").Select(id => Id(id, "post_processor.special_tokens: an id")));
                    else
                        seen = true;
                }

                break;
            default:
                throw Unsupported("post_processor.type", type);
        }

        return (prefix, suffix);
    }

    private Regex Pattern(JsonElement element, string field, Func<string, string>? rewrite = null)
    {
        var expression = Text(element, "Regex") ?? Regex.Escape(NeededText(element, "String"));
        try
        {
            return new Regex(WithLongS(rewrite?.Invoke(expression) ?? expression), RegexOptions.CultureInvariant | RegexOptions.Compiled, _longestMatch);
        }
        catch (ArgumentException error)
        {
            throw new UserInputException($"{_path}: {field}: '{expression}' is not an expression that is supported: {error.Message}", error);
        }
    }

    /// <summary>To the reference library a small s in either case is the long ſ too, which it is not here.</summary>
    private static string WithLongS(string expression) => EitherCase().Replace(expression, group =>
        SmallS().Replace(group.Value, s => s.ValueSpan[0] == '[' ? s.Value[..^1] + "ſ]" : "[sſ]"));

    [GeneratedRegex(@"\(\?i:[^()]*\)")]
    private static partial Regex EitherCase();

    /// <summary>The letter alone, or a class of plain characters that has it.</summary>
    [GeneratedRegex(@"\[[^\]\\]*s[^\]\\]*\]|(?<![\\\[][^\]]*)s")]
    private static partial Regex SmallS();

    private static JsonElement? Given(JsonElement element, string name, params ReadOnlySpan<JsonValueKind> kinds)
    {
        if (!element.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null)
            return null;
        return kinds.Contains(value.ValueKind) ? value : throw new FormatException($"{name} is a JSON {value.ValueKind}, must be {(kinds[0] is JsonValueKind.True ? "true or false" : $"a JSON {kinds[0]}")}");
    }

    private static JsonElement? Object(JsonElement element, string name) => Given(element, name, JsonValueKind.Object);

    private static string? Text(JsonElement element, string name) => Given(element, name, JsonValueKind.String)?.GetString();

    private static bool Flag(JsonElement element, string name, bool absent = false) => Given(element, name, JsonValueKind.True, JsonValueKind.False)?.GetBoolean() ?? absent;

    private static int Id(JsonElement value, string name) => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var id) ? id : throw new FormatException($"{name} is {value.GetRawText()}, must be an integer of 32 bits");

    private static JsonElement.ArrayEnumerator List(JsonElement element, string name) => (Given(element, name, JsonValueKind.Array) ?? throw Missing(name)).EnumerateArray();

    private static string NeededText(JsonElement element, string name) => Text(element, name) ?? throw Missing(name);

    private static JsonElement NeededObject(JsonElement element, string name) => Object(element, name) ?? throw Missing(name);

    private static FormatException Missing(string name) => new($"{name} is missing");

    private UserInputException Unsupported(string field, string? value) =>
        new($"{_path}: {field}: '{value}' is not supported: byte-level BPE and SentencePiece-style BPE are");
}
