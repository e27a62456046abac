using System.Text.RegularExpressions;

namespace Moebius.Charts.Tests;

/// <summary>The metrics that the programs' source defines: names as they are scraped, each with its labels.</summary>
internal static partial class SourceMetrics
{
    private static readonly string[] Folders = ["operator", "inference-pod", "sidecar-kvcache", "sidecar-cxl", "prompt-optimizer"];

    public static IReadOnlyDictionary<string, IReadOnlySet<string>> All { get; } = Read();

    private static Dictionary<string, IReadOnlySet<string>> Read()
    {
        var result = new Dictionary<string, IReadOnlySet<string>>(StringComparer.Ordinal);
        var files = Folders.SelectMany(folder => Directory.EnumerateFiles(RepositoryFiles.At(folder), "*.cs", SearchOption.AllDirectories))
            .Where(file => !file.Contains("/obj/", StringComparison.Ordinal));
        foreach (var text in files.Select(File.ReadAllText))
        {
            foreach (Match definition in Definition().Matches(text))
            {
                var name = (definition.Groups["vllm"].Success ? "vllm:" : "") + definition.Groups["name"].Value;
                var labels = Literal().Matches(definition.Groups["rest"].Value).Select(literal => literal.Groups[1].Value).ToHashSet(StringComparer.Ordinal);
                // The engine's factory methods add the model's name.
                if (!definition.Groups["create"].Success)
                    labels.Add("model_name");
                if (definition.Groups["type"].Value == "Histogram")
                {
                    result[name + "_sum"] = result[name + "_count"] = labels;
                    result[name + "_bucket"] = labels.Append("le").ToHashSet(StringComparer.Ordinal);
                }
                else
                {
                    result[name] = labels;
                }
            }
        }

        return result;
    }

    [GeneratedRegex("""\b(?<create>Create)?(?<type>Counter|Gauge|Histogram)\((?<vllm>VllmPrefix \+ )?"(?<name>[a-z0-9_]+)", "[^"]*"(?<rest>.*)$""", RegexOptions.Multiline)]
    private static partial Regex Definition();

    [GeneratedRegex("\"([a-z_]+)\"")]
    private static partial Regex Literal();
}
