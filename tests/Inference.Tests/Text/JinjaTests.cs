using System.Text.Json;
using Moebius.Inference.Text;
using Moebius.Inference.Text.Jinja;

namespace Moebius.Inference.Tests.Text;

public class JinjaTests
{
    // Expected outputs are Jinja2's own (3.1.6; trim_blocks, lstrip_blocks, JSON without escapes).
    private static readonly JsonElement Data = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "jinja-cases.json"))).RootElement;

    public static TheoryData<int> Cases => [.. Enumerable.Range(0, Data.GetProperty("cases").GetArrayLength())];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Renders_as_Jinja2_does(int index)
    {
        var test = Data.GetProperty("cases")[index];
        var variables = Data.GetProperty("variables");
        var template = ChatTemplate.Create(test.GetProperty("template").GetString()!, null, [], "case");
        Assert.Equal(test.GetProperty("expected").GetString(), template.Render(variables.GetProperty("messages"), null, false, variables, TimeProvider.System));
    }

    [Theory]
    [InlineData("{% include 'x' %}", "line 1: the block 'include' is not supported")]
    [InlineData("\n\n{{ x|wordwrap }}", "line 3: the filter 'wordwrap' is not supported")]
    [InlineData("{{ x is escaped }}", "line 1: the test 'escaped' is not supported")]
    [InlineData("{% for x in y %}", "line 1: expected {% endfor %}, found the end of the template")]
    [InlineData("{{ 'abc }}", "line 1: a string has no closing quote")]
    [InlineData("{{ f(*a) }}", "line 1: unpacking of arguments with '*' is not supported")]
    [InlineData("a\n{{ x", "line 2: a tag has no '}}'")]
    public void Refuses_what_it_does_not_know_by_name(string template, string message) =>
        Assert.Equal(message, Assert.Throws<JinjaException>(() => Template.Parse(template)).Message);

    [Theory]
    [InlineData("{{ a.b.c }}", "line 1: 'b' is asked of 'a', which is undefined")]
    [InlineData("{{ 1 + 'a' }}", "line 1: '+' cannot take integer and string")]
    [InlineData("\n{{ 1 // 0 }}", "line 2: division by zero")]
    [InlineData("{{ nope() }}", "line 1: undefined value ('nope' is undefined) cannot be called")]
    [InlineData("{{ 'a'.frobnicate() }}", "line 1: undefined value ('frobnicate' of string is undefined) cannot be called")]
    [InlineData("{{ range(1000000000) }}", "line 1: 'range' must have a step and at most 100000 items")]
    public void Says_what_went_wrong_and_where(string template, string message) =>
        Assert.Equal(message, Assert.Throws<JinjaException>(() => Template.Parse(template).Render(new Dictionary<string, object?>(), TimeProvider.System)).Message);

    [Fact]
    public void A_template_may_refuse_its_input()
    {
        var error = Assert.Throws<JinjaException>(() => Template.Parse("{{ raise_exception('roles must alternate') }}").Render(new Dictionary<string, object?>(), TimeProvider.System));
        Assert.Equal("roles must alternate", error.Message);
        Assert.True(error.ByTemplate);
    }

    [Fact]
    public void Endless_recursion_is_an_error() =>
        Assert.Contains("too deeply", Assert.Throws<JinjaException>(() => Template.Parse("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}").Render(new Dictionary<string, object?>(), TimeProvider.System)).Message, StringComparison.Ordinal);
}
