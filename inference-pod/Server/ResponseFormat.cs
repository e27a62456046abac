using System.Text.RegularExpressions;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Constraints;
using Moebius.Inference.Tools;

namespace Moebius.Inference.Server;

/// <summary>Reads <c>response_format</c>: text, any JSON object, or JSON under a schema.</summary>
internal static partial class ResponseFormat
{
    private const string Field = "response_format";

    /// <returns>The grammar of the content; null: any text.</returns>
    /// <exception cref="ApiException">The format is wrong, or its schema says what is not supported.</exception>
    public static GrammarNode? Read(RequestBody body, string? goesOn)
    {
        if (body.Object(Field) is not { } format)
            return null;
        var type = format.Text("type");
        var root = type switch
        {
            "text" => null,
            "json_object" => JsonGrammar.Object,
            "json_schema" => Schema(format),
            _ => throw ApiException.Invalid($"{Field}.type", $"'{Field}.type' is '{type}': it must be 'text', 'json_object' or 'json_schema'."),
        };
        format.RefuseOthers();
        return root is not null && goesOn is not null
            ? throw ApiException.Invalid(goesOn, $"'{goesOn}' together with '{Field}' is not supported: the format says where the output ends.")
            : root;
    }

    /// <summary>The grammar of a chat's answer whose content has one.</summary>
    /// <param name="content">What <see cref="Read"/> has said.</param>
    /// <param name="model">Says in which formats.</param>
    /// <param name="start">How the answer begins.</param>
    public static GrammarNode Answer(GrammarNode content, ServedModel model, ReasoningStart start) =>
        start == ReasoningStart.Channels ? HarmonyGrammar.Final(content, model.ReasoningParser == ReasoningParser.Harmony) : ReasoningFormat.Around(content, model.ReasoningParser, start);

    /// <summary>What is said of a schema that turns out to be too ambiguous, at once or on the way.</summary>
    public static ApiException TooAmbiguous() =>
        ApiException.Invalid(Field, $"'{Field}': the schema has too many readings of one text to be followed: give it fewer alternatives, or such that differ sooner.");

    private static GrammarNode Schema(RequestBody format)
    {
        const string field = $"{Field}.json_schema";
        var named = format.Object("json_schema") ?? throw ApiException.Invalid(field, $"'{field}' is required.", "missing_required_parameter");
        var name = named.Text("name") ?? throw ApiException.Invalid($"{field}.name", $"'{field}.name' is required.", "missing_required_parameter");
        if (!Name().IsMatch(name))
            throw ApiException.Invalid($"{field}.name", $"'{field}.name' must be 1 to 64 letters, digits, '_' or '-'.");
        named.Text("description");
        named.Flag("strict"); // Without it, too, the schema is kept.
        var schema = named.Get("schema");
        named.RefuseOthers();
        if (schema is not { } element)
            return JsonGrammar.Object;
        try
        {
            return JsonSchemaCompiler.Compile(element);
        }
        catch (SchemaException error)
        {
            throw ApiException.Invalid($"{field}.schema", $"'{field}.schema': {error.Message}.");
        }
    }

    [GeneratedRegex("^[A-Za-z0-9_-]{1,64}$")]
    private static partial Regex Name();
}
