using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Moebius.KubernetesEnvironment;

/// <summary>
/// Templates of fields as kubectl's <c>-o jsonpath</c> prints them, so that a test need not start a process for each look:
/// <c>{.a.b}</c> between any text, with <c>[0]</c>, <c>[*]</c> and <c>[?(@.type=='Ready')]</c>, and <c>\.</c> for a dot in a name.
/// Several values are separated by a space, and what is missing is nothing.
/// </summary>
internal static partial class FieldPath
{
    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The template with each path replaced by what it finds.</summary>
    /// <param name="template">Text with paths in braces.</param>
    /// <param name="root">What the paths begin at.</param>
    /// <exception cref="FormatException">A path has what is not known here.</exception>
    public static string Print(string template, JsonNode root)
    {
        var text = new StringBuilder();
        var end = 0;
        foreach (var path in Braces().EnumerateMatches(template))
        {
            text.Append(template, end, path.Index - end);
            end = path.Index + path.Length;
            text.AppendJoin(' ', Find(template[(path.Index + 1)..(end - 1)], root).Select(Text));
        }

        return text.Append(template, end, template.Length - end).ToString();
    }

    private static List<JsonNode> Find(string path, JsonNode root)
    {
        List<JsonNode> found = [root];
        var at = 0;
        while (at < path.Length)
        {
            var step = Step().Match(path, at);
            if (!step.Success)
                throw new FormatException($"'{path[at..]}' in the path '{path}': write .name, [number], [*] or [?(@.path=='value')]");
            at += step.Length;
            found = [.. found.SelectMany(node => Take(node, step.Groups))];
        }

        return found;
    }

    private static IEnumerable<JsonNode> Take(JsonNode node, GroupCollection step)
    {
        if (step["name"] is { Success: true } name)
            return node is JsonObject fields && fields[name.Value.Replace(@"\.", ".", StringComparison.Ordinal)] is { } field ? [field] : [];
        if (node is not JsonArray items)
            return [];
        var each = items.OfType<JsonNode>();
        if (step["index"] is { Success: true } index)
            return each.Skip(int.Parse(index.Value, null)).Take(1);
        return step["path"] is { Success: true } path ? each.Where(item => Find(path.Value, item).Any(value => Text(value) == step["value"].Value)) : each;
    }

    private static string Text(JsonNode node) => node.GetValueKind() == JsonValueKind.String ? node.GetValue<string>() : node.ToJsonString(Relaxed);

    [GeneratedRegex(@"\{(?:[^{}'\\]|\\.|'[^']*')*\}")]
    private static partial Regex Braces();

    [GeneratedRegex(@"\G(?:\.(?<name>(?:[^.\[\\]|\\.)+)|\[(?<index>\d+)\]|\[\*\]|\[\?\(@(?<path>[^=]+)=='(?<value>[^']*)'\)\])")]
    private static partial Regex Step();
}
