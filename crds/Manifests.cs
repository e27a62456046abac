using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using System.Text.RegularExpressions;
using Moebius.Crds.Host;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;
using YamlDotNet.RepresentationModel;

namespace Moebius.Crds;

/// <summary>Reads and writes manifests and configuration files, strictly: an unknown field is an error.</summary>
public static partial class Manifests
{
    /// <summary>
    /// The one JSON dialect of the project: camel case, enums by name, nulls left out, unknown fields refused.
    /// </summary>
    public static JsonSerializerOptions Json { get; } = new(JsonSerializerDefaults.Web)
    {
        PropertyNameCaseInsensitive = false,
        NumberHandling = JsonNumberHandling.Strict,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters = { new ExactEnumConverter() },
        TypeInfoResolver = new DefaultJsonTypeInfoResolver(),
    };

    private const int MostValues = 1_000_000;

    private const int MostMebibytes = 64;

    /// <summary>Reads a file that holds exactly one document.</summary>
    /// <exception cref="UserInputException">The file is missing, is not YAML, or does not fit the type.</exception>
    public static T LoadFile<T>(string path)
    {
        var documents = ParseDocuments(ReadText(path), path);
        return documents.Count == 1
            ? Convert<T>(documents[0], path)
            : throw new UserInputException($"{path}: {documents.Count} YAML documents, expected exactly one");
    }

    /// <summary>The text of a file that a command line names, where <c>-</c> is standard input, as with kubectl.</summary>
    /// <returns>The text, and what it is from, for messages.</returns>
    /// <exception cref="UserInputException">It cannot be read.</exception>
    public static (string Text, string Source) ReadArgument(string path) => ReadArgument(path, Console.OpenStandardInput);

    /// <summary>As <see cref="ReadArgument(string)"/>, with what standard input is.</summary>
    internal static (string Text, string Source) ReadArgument(string path, Func<Stream> standardInput)
    {
        if (path != "-")
            return (ReadText(path), path);
        const string source = "standard input";
        return (Decode(source, () =>
        {
            using var input = standardInput();
            return BoundedFile.Read(input, source, MostMebibytes);
        }), source);
    }

    /// <summary>The text of a file.</summary>
    /// <exception cref="UserInputException">The file cannot be read.</exception>
    public static string ReadText(string path) => Directory.Exists(path)
        ? throw new UserInputException($"{path}: is a directory: name the files in it")
        : Decode(path, () => BoundedFile.Read(path, MostMebibytes));

    private static string Decode(string source, Func<byte[]> read)
    {
        try
        {
            var text = new StreamReader(new MemoryStream(read()), new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true)).ReadToEnd();
            // To the YAML library the text ends there.
            return text.Contains('\0') ? throw new UserInputException($"{source}: has a NUL character, which YAML does not allow") : text;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new UserInputException($"{source}: cannot be read: {error.Message}", error);
        }
        catch (DecoderFallbackException error)
        {
            throw new UserInputException($"{source}: is not UTF-8: save it as such", error);
        }
    }

    /// <summary>Splits a YAML text into its documents; empty ones are left out.</summary>
    /// <param name="yaml">The text; JSON is YAML.</param>
    /// <param name="source">File name, for messages.</param>
    /// <exception cref="UserInputException">Not YAML, or a document that is not a mapping.</exception>
    public static IReadOnlyList<JsonObject> ParseDocuments(string yaml, string source)
    {
        YamlSyntax.Check(yaml, source);
        var stream = new YamlStream();
        try
        {
            stream.Load(new StringReader(yaml));
        }
        catch (YamlException error)
        {
            throw YamlSyntax.Invalid(source, error.Start.Line, error.InnerException?.Message ?? error.Message, error);
        }

        var documents = new List<JsonObject>();
        var left = MostValues;
        foreach (var document in stream.Documents)
        {
            switch (ToJson(document.RootNode, source, 0, ref left))
            {
                case JsonObject value:
                    documents.Add(value);
                    break;
                case null:
                    break;
                default:
                    throw new UserInputException($"{source}: line {document.RootNode.Start.Line}: expected a mapping with fields, found a list or a single value");
            }
        }

        return documents;
    }

    /// <summary>Turns a document into a type.</summary>
    /// <param name="document">The document.</param>
    /// <param name="source">File name, for messages.</param>
    /// <exception cref="UserInputException">A field is unknown, missing or of the wrong type; the message names it.</exception>
    public static T Convert<T>(JsonNode document, string source) => (T)Convert(document, typeof(T), source);

    /// <summary>Turns a document into a type that is known at run time only.</summary>
    /// <param name="document">The document.</param>
    /// <param name="type">The type.</param>
    /// <param name="source">File name, for messages.</param>
    /// <exception cref="UserInputException">A field is unknown, missing or of the wrong type; the message names it.</exception>
    public static object Convert(JsonNode document, Type type, string source)
    {
        try
        {
            return document.Deserialize(type, Json) ?? throw new UserInputException($"{source}: empty");
        }
        catch (JsonException error)
        {
            var path = (error.Path ?? "$").TrimStart('$').TrimStart('.');
            throw new UserInputException($"{source}: {(path.Length == 0 ? "document" : path)}: {Explain(error)}", error);
        }
        catch (FormatException error)
        {
            // The Kubernetes client's own types (quantities) say what is wrong, but not where.
            throw new UserInputException($"{source}: {error.Message}", error);
        }
    }

    /// <summary>Writes a value as one YAML document, in the field order of its type.</summary>
    public static string ToYaml(object value)
    {
        var node = JsonSerializer.SerializeToNode(value, value.GetType(), Json);
        if (node is JsonObject manifest && manifest.ContainsKey("kind"))
            node = IdentityFirst(manifest);
        var writer = new StringWriter(CultureInfo.InvariantCulture) { NewLine = "\n" };
        // Events instead of a tree of YAML nodes: the operator writes several documents each time it looks at a resource.
        var emitter = new Emitter(writer);
        emitter.Emit(new StreamStart());
        emitter.Emit(new DocumentStart());
        Emit(emitter, node);
        emitter.Emit(new DocumentEnd(isImplicit: true));
        emitter.Emit(new StreamEnd());
        var text = writer.ToString();
        return text.EndsWith("...\n", StringComparison.Ordinal) ? text[..^4] : text;
    }

    // Readers look for what an object is before what is in it.
    private static JsonObject IdentityFirst(JsonObject manifest)
    {
        string[] identity = ["apiVersion", "kind", "metadata"];
        var fields = identity.Where(manifest.ContainsKey).Concat(manifest.Select(field => field.Key).Except(identity)).ToList();
        var result = new JsonObject();
        foreach (var name in fields)
        {
            manifest.Remove(name, out var value);
            result.Add(name, value);
        }

        return result;
    }

    private static string Explain(JsonException error)
    {
        // The library's messages name .NET types; a user knows fields only.
        var message = error.Message;
        if (message.Contains("could not be mapped to any .NET member", StringComparison.Ordinal))
            return "unknown field";
        if (message.Contains("missing required properties", StringComparison.Ordinal) && message.Split("including:") is [_, var names])
            return $"required field missing: {names.Split(". Path")[0].Trim().TrimEnd('.')}";
        if (message.Contains("could not be converted", StringComparison.Ordinal))
            return $"value of the wrong type{Expected(message)}";
        return message;
    }

    private static string Expected(string message)
    {
        var name = ConvertedTo().Match(message).Groups["type"].Value;
        return name switch
        {
            "System.String" => ": use a text",
            "System.Boolean" => ": use true or false",
            "System.Int32" or "System.Int64" => ": use a whole number",
            "System.Double" or "System.Single" or "System.Decimal" => ": use a number",
            _ => AppDomain.CurrentDomain.GetAssemblies().Select(assembly => assembly.GetType(name)).FirstOrDefault(type => type is { IsEnum: true }) is { } names
                ? $": use one of {string.Join(", ", Enum.GetNames(names))}"
                : "",
        };
    }

    [GeneratedRegex(@"could not be converted to (System\.Nullable`1\[)?(?<type>\w+([.+]\w+)*)")]
    private static partial Regex ConvertedTo();

    private static JsonNode? ToJson(YamlNode node, string source, int depth, ref int left)
    {
        if (depth > YamlSyntax.Deepest)
            throw YamlSyntax.TooDeep(source, node.Start.Line);
        if (--left < 0)
            throw new UserInputException($"{source}: line {node.Start.Line}: more than {MostValues} values, what aliases stand for included: split it");
        switch (node)
        {
            case YamlMappingNode mapping:
                var result = new JsonObject();
                foreach (var (key, value) in mapping.Children)
                {
                    if (key is not YamlScalarNode { Value: { } name })
                        throw new UserInputException($"{source}: line {key.Start.Line}: a field name must be a plain text");
                    result[name] = ToJson(value, source, depth + 1, ref left);
                }

                return result;
            case YamlSequenceNode sequence:
                var items = new JsonArray();
                foreach (var child in sequence.Children)
                    items.Add(ToJson(child, source, depth + 1, ref left));
                return items;
            case YamlScalarNode scalar:
                return scalar.Style == ScalarStyle.Plain ? Plain(scalar.Value ?? "") : JsonValue.Create(scalar.Value ?? "");
            default:
                throw new InvalidOperationException(node.NodeType.ToString());
        }
    }

    /// <summary>What a text without quotes reads as.</summary>
    private static JsonNode? Plain(string text) => text switch
    {
        "" or "~" or "null" or "Null" or "NULL" => null,
        "true" or "True" or "TRUE" => JsonValue.Create(true),
        "false" or "False" or "FALSE" => JsonValue.Create(false),
        _ when long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var integer) => JsonValue.Create(integer),
        _ when LooksLikeNumber(text) && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number) => JsonValue.Create(number),
        _ => JsonValue.Create(text),
    };

    private static bool LooksLikeNumber(string text) => char.IsAsciiDigit(text[0]) || (text[0] is '-' or '+' or '.' && text.Length > 1 && char.IsAsciiDigit(text[1]));

    private static void Emit(Emitter emitter, JsonNode? node)
    {
        switch (node)
        {
            case JsonObject fields:
                emitter.Emit(new MappingStart(AnchorName.Empty, TagName.Empty, isImplicit: true, MappingStyle.Any));
                foreach (var (name, value) in fields)
                {
                    emitter.Emit(Text(name));
                    Emit(emitter, value);
                }

                emitter.Emit(new MappingEnd());
                break;
            case JsonArray items:
                emitter.Emit(new SequenceStart(AnchorName.Empty, TagName.Empty, isImplicit: true, SequenceStyle.Any));
                foreach (var item in items)
                    Emit(emitter, item);
                emitter.Emit(new SequenceEnd());
                break;
            case JsonValue value when value.GetValueKind() == JsonValueKind.String:
                emitter.Emit(Text(value.GetValue<string>()));
                break;
            default:
                emitter.Emit(Text(node?.ToJsonString() ?? "null", ScalarStyle.Plain));
                break;
        }
    }

    private static Scalar Text(string text)
    {
        // A text that would read back as something else must be quoted; a long one reads best as a block.
        if (text.Contains('\n'))
            return Text(text, text.Contains('\t') || text.Split('\n').Any(line => line.EndsWith(' ')) ? ScalarStyle.DoubleQuoted : ScalarStyle.Literal);
        var isMistaken = Plain(text) is not JsonValue value || value.GetValueKind() != JsonValueKind.String || text is "y" or "n" or "yes" or "no" or "on" or "off";
        return Text(text, isMistaken ? ScalarStyle.DoubleQuoted : ScalarStyle.Plain);
    }

    private static Scalar Text(string text, ScalarStyle style) => new(AnchorName.Empty, TagName.Empty, text, style, isPlainImplicit: true, isQuotedImplicit: true);
}
