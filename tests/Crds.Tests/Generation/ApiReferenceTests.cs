using System.Text.Json.Serialization.Metadata;
using System.Text.RegularExpressions;
using Moebius.Crds.Generation;

namespace Moebius.Crds.Tests;

public sealed partial class ApiReferenceTests
{
    private static readonly string Page = ApiReference.Markdown(XmlDocs.Load());

    [Fact]
    public void Every_value_of_a_choice_stands_beside_its_field()
    {
        var choices = 0;
        foreach (var type in typeof(ResourceKinds).Assembly.GetTypes().Where(type => Page.Contains($"\n### {type.Name}\n", StringComparison.Ordinal)))
        {
            foreach (var property in SchemaGenerator.Contract(type).Properties)
            {
                var declared = Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType;
                var value = declared.IsEnum || SchemaGenerator.Contract(declared).Kind != JsonTypeInfoKind.Enumerable ? declared : SchemaGenerator.Contract(declared).ElementType!;
                if (!value.IsEnum)
                    continue;
                choices++;
                var row = Regex.Match(Page[Page.IndexOf($"\n### {type.Name}\n", StringComparison.Ordinal)..], $@"^\| `{property.Name}` .*$", RegexOptions.Multiline).Value;
                Assert.All(Enum.GetNames(value), name => Assert.Contains($"- {name}: ", row, StringComparison.Ordinal));
            }
        }

        Assert.True(choices > 20, $"only {choices} choices were found");
    }

    [Fact]
    public void Every_rule_says_what_it_is_about() => Assert.Empty(Subjectless().Matches(Page).Select(match => match.Value));

    [GeneratedRegex("^- Rule: must .*$", RegexOptions.Multiline)]
    private static partial Regex Subjectless();
}
