using System.Reflection;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Moebius.Crds.Generation;

/// <summary>
/// Summaries of types, properties and enum members as plain text, from the compiler's documentation files: this
/// assembly's, which the build puts beside it, and the Kubernetes client's, of which the build embeds an extract.
/// </summary>
internal sealed partial class XmlDocs
{
    private readonly Dictionary<string, string> _summaries = new(StringComparer.Ordinal);

    public static XmlDocs Load()
    {
        var assembly = typeof(XmlDocs).Assembly;
        var path = Path.Combine(AppContext.BaseDirectory, assembly.GetName().Name + ".xml");
        if (!File.Exists(path))
            throw new UserInputException($"{path}: not found: descriptions come from this file, which a build puts beside the program; run from a build's output");
        var docs = new XmlDocs();
        using var kubernetes = assembly.GetManifestResourceStream("KubernetesDocs.xml")!;
        docs.Add(XDocument.Load(kubernetes));
        docs.Add(XDocument.Load(path));
        return docs;
    }

    /// <summary>The summary of a type, or null.</summary>
    public string? Of(Type type) => Find("T:" + TypeName(type));

    /// <summary>The summary of a property or enum member, or null.</summary>
    public string? Of(MemberInfo member) =>
        Find((member is PropertyInfo ? "P:" : "F:") + TypeName(member.DeclaringType!) + "." + member.Name);

    /// <summary>The text of a <c>summary</c> element: one line per paragraph, markup replaced by what it stands for.</summary>
    internal static string Flatten(XElement summary)
    {
        var text = new StringBuilder();
        Append(text, summary);
        var paragraphs = BlankLine().Split(text.ToString())
            .Select(paragraph => WhiteSpace().Replace(paragraph, " ").Trim())
            .Where(paragraph => paragraph.Length > 0);
        return string.Join("\n\n", paragraphs);
    }

    private static void Append(StringBuilder text, XElement parent)
    {
        foreach (var node in parent.Nodes())
        {
            switch (node)
            {
                case XText plain:
                    text.Append(plain.Value);
                    break;
                case XElement { Name.LocalName: "c" or "code" } code:
                    text.Append('`').Append(code.Value).Append('`');
                    break;
                case XElement { Name.LocalName: "see" or "seealso" or "paramref" or "typeparamref" } reference:
                    text.Append(Target(reference));
                    break;
                case XElement { Name.LocalName: "para" or "item" } block:
                    text.Append("\n\n");
                    Append(text, block);
                    text.Append("\n\n");
                    break;
                case XElement other:
                    Append(text, other);
                    break;
            }
        }
    }

    private static string Target(XElement reference)
    {
        if (reference.Value.Length > 0)
            return reference.Value;
        if (reference.Attribute("cref")?.Value is not { } cref)
            return (reference.Attribute("langword") ?? reference.Attribute("href") ?? reference.Attribute("name"))?.Value ?? "";
        var name = cref[(cref.LastIndexOf('.') + 1)..];
        // A property is known to readers of the API by its JSON name.
        return cref.StartsWith("P:", StringComparison.Ordinal) ? JsonNamingPolicy.CamelCase.ConvertName(name) : name;
    }

    private static string TypeName(Type type) =>
        (type.IsGenericType ? type.GetGenericTypeDefinition() : type).FullName!.Replace('+', '.');

    private void Add(XDocument document)
    {
        foreach (var member in document.Descendants("member"))
        {
            if (member.Element("summary") is { } summary)
                _summaries[member.Attribute("name")!.Value] = Flatten(summary);
        }
    }

    private string? Find(string id) => _summaries.GetValueOrDefault(id);

    [GeneratedRegex(@"\n[ \t\r]*\n")]
    private static partial Regex BlankLine();

    [GeneratedRegex(@"\s+")]
    private static partial Regex WhiteSpace();
}
