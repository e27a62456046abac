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

    [Fact]
    public void A_template_whose_loops_do_not_end_is_ended()
    {
        using var messages = JsonDocument.Parse("[]");
        var template = ChatTemplate.Create("{% for a in range(100000) %}{% for b in range(100000) %}{% set c = b %}{% endfor %}{% endfor %}", null, [], "case");
        var error = Assert.Throws<JinjaException>(() => template.Render(messages.RootElement, null, false, null, new Hurried()));
        Assert.EndsWith("the template takes more than 10 seconds", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Whole_numbers_keep_their_digits_whatever_their_size()
    {
        var template = ChatTemplate.Create("{{ n }} {{ n | tojson }} {{ [n] }} {{ n is integer }} {{ n is number }} {{ n == n }} {{ n > 1 }} {% if n %}yes{% endif %}", null, [], "case");
        using var variables = JsonDocument.Parse("""{"n": 12345678901234567890}""");
        using var messages = JsonDocument.Parse("[]");
        Assert.Equal("12345678901234567890 12345678901234567890 [12345678901234567890] True True True True yes", template.Render(messages.RootElement, null, false, variables.RootElement, TimeProvider.System));
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
    [InlineData("{{ [1, 'a']|sort }}", "line 1: integer and string have no order")]
    [InlineData("{{ nope() }}", "line 1: undefined value ('nope' is undefined) cannot be called")]
    [InlineData("{{ 'a'.frobnicate() }}", "line 1: undefined value ('frobnicate' of string is undefined) cannot be called")]
    [InlineData("{{ 'ab'.find('b', 1) }}", "line 1: 'find' takes at most 1 arguments, 2 were given")]
    [InlineData("{{ [1]|unique(attr='x') }}", "line 1: 'unique' has no argument 'attr'")]
    [InlineData("{{ 'a'.upper(1) }}", "line 1: 'upper' takes at most 0 arguments, 1 were given")]
    [InlineData("{{ ' a'.strip(' ', 1) }}", "line 1: 'strip' takes at most 1 arguments, 2 were given")]
    [InlineData("{{ 'a b'.split(' ', limit=1) }}", "line 1: 'split' has no argument 'limit'")]
    [InlineData("{{ {'a': 1}.get('b', 1, 2) }}", "line 1: 'get' takes at most 2 arguments, 3 were given")]
    [InlineData("{{ {'a': 1}.items(1) }}", "line 1: 'items' takes at most 0 arguments, 1 were given")]
    [InlineData("{{ [1, 2, 1].index(1, 1) }}", "line 1: 'index' takes at most 1 arguments, 2 were given")]
    [InlineData("{{ 'a'|upper(1) }}", "line 1: 'upper' takes at most 0 arguments, 1 were given")]
    [InlineData("{{ [1]|length(a=1) }}", "line 1: 'length' has no argument 'a'")]
    [InlineData("{{ 1 is defined(1) }}", "line 1: 'defined' takes at most 0 arguments, 1 were given")]
    [InlineData("{{ 1 is eq(1, 2) }}", "line 1: 'eq' takes at most 1 arguments, 2 were given")]
    [InlineData("{{ range(1, 2, 3, 4) }}", "line 1: 'range' takes at most 3 arguments, 4 were given")]
    [InlineData("{{ strftime_now('%Y', 1) }}", "line 1: 'strftime_now' takes at most 1 arguments, 2 were given")]
    [InlineData("{{ dict({'a': 1}, {'b': 2}) }}", "line 1: 'dict' takes at most 1 arguments, 2 were given")]
    [InlineData("{{ dict(5) }}", "line 1: 'dict' takes a mapping or a list of pairs, not integer")]
    [InlineData("{{ dict(['abc']) }}", "line 1: 'dict' takes a mapping or a list of pairs, not a list with string")]
    [InlineData("{% for a in [1] %}{{ loop.cycle() }}{% endfor %}", "line 1: 'cycle' needs an item")]
    [InlineData("{{ 'ab' * 4611686018427387904 }}", "line 1: the text is repeated too often")]
    [InlineData("{{ 9223372036854775807 + 1 }}", "line 1: an integer has more than 64 bits")]
    [InlineData("{{ 2 ** 64 }}", "line 1: an integer has more than 64 bits")]
    [InlineData("{{ (-9223372036854775807 - 1) // -1 }}", "line 1: an integer has more than 64 bits")]
    [InlineData("{{ (-9223372036854775807 - 1)|abs }}", "line 1: an integer has more than 64 bits")]
    [InlineData("{{ 'a'.zfill(2000000000) }}", "line 1: a text would have more than 16777216 characters")]
    [InlineData("{{ range(1000000000) }}", "line 1: 'range' must have a step and at most 100000 items")]
    [InlineData("{{ range(-9223372036854775807, 9223372036854775807) }}", "line 1: 'range' must have a step and at most 100000 items")]
    public void Says_what_went_wrong_and_where(string template, string message) =>
        Assert.Equal(message, Assert.Throws<JinjaException>(() => Template.Parse(template).Render(new Dictionary<string, object?>(), TimeProvider.System)).Message);

    // Expected outputs are Jinja2's own.
    [Theory]
    [InlineData("{{ (1,2)[1:] }}{{ (1,2)[::2] }}", "(2,)(1,)")]
    [InlineData("{{ 'abc'[1::9223372036854775807] }}{{ 'abc'[1::-9223372036854775807] }}", "bb")]
    [InlineData("{{ -7 % 3 }} {{ 7 % -3 }} {{ -6 % 3 }} {{ 7 % 9223372036854775807 }} {{ (-9223372036854775807 - 1) % -1 }}", "2 -2 0 7 0")]
    [InlineData("{{ 3 ** 39 }} {{ (-3) ** 39 }} {{ 7 ** 0 }} {{ 0 ** 0 }} {{ (-1) ** 9223372036854775807 }} {{ 2 ** -1 }} {{ (-2) ** 63 }}", "4052555153018976267 -4052555153018976267 1 1 -1 0.5 -9223372036854775808")]
    [InlineData("{{ range(0, 9223372036854775807, 4611686018427387903)|list }}{{ range(5, -9223372036854775807, -9223372036854775807)|list }}", "[0, 4611686018427387903, 9223372036854775806][5, -9223372036854775802]")]
    [InlineData("{{ range(7, 0, -3)|list }}{{ range(6, 0, -3)|list }}{{ range(0, 7, 3)|list }}{{ range(0, -1000000)|list }}{{ range(0)|list }}", "[7, 4, 1][6, 3][0, 3, 6][][]")]
    [InlineData("{{ '-7'.zfill(4) }} {{ '+'.zfill(3) }} {{ 'ab'.zfill(4) }} {{ 'ab'.zfill(-1) }}", "-007 +00 00ab ab")]
    [InlineData("{{ 1250|round(-2) }} {{ -1350|round(-2) }} {{ 5|round }} {{ 7|round(-30) }} {{ 1.5|round(20) }} {{ 1250.0|round(-2) }} {{ 1.5|round(-400) }}", "1200 -1400 5 0 1.5 1200.0 0.0")]
    [InlineData("{{ ('\\ud83d' ~ ' ').strip()|length }}", "1")]
    [InlineData("{{ 'a' is lower }}{{ '1' is lower }}{{ '' is upper }}{{ 'A1' is upper }}", "TrueFalseFalseTrue")]
    [InlineData("[{{ none[1:] }}{{ {'a': 1}[:1] }}]", "[]")]
    [InlineData("{{ none|selectattr('x')|list }}{{ false|map('upper')|list }}{{ 0|reject|list }}", "[][][]")]
    [InlineData("{{ 1e-7 }} {{ 1e-6 }} {{ 2.5e-8 }} {{ 0.00012 }} {{ 123456789012345.6 }} {{ 1e23 }} {{ 5e-324 }} {{ 0.1 + 0.2 }} {{ -3e-7 }}", "1e-07 1e-06 2.5e-08 0.00012 123456789012345.6 1e+23 5e-324 0.30000000000000004 -3e-07")]
    [InlineData("{{ 1e16 }} {{ 1e15 }} {{ 1e-5 }} {{ 1e-4 }} {{ -12500000000000000.0 * 10 }} {{ 0.0 }} {{ 1e20 }} {{ 1.5e300 }}", "1e+16 1000000000000000.0 1e-05 0.0001 -1.25e+17 0.0 1e+20 1.5e+300")]
    [InlineData("{{ 'abcabc'|replace('a','b',1) }}|{{ 'abcabc'|replace('a','b',count=0) }}|{{ 'aaa'|replace('a','b',2) }}|{{ 'aa'|replace('a','b',none) }}|{{ 'aa'|replace('a','b',-1) }}", "bbcabc|abcabc|bba|bb|bb")]
    [InlineData("{{ ['b','A','C']|max }}{{ ['b','A','C']|min }}{{ ['b','A','c']|max(case_sensitive=true) }}{{ ['b','A']|min(true) }}{{ ['A','a']|max }}", "CAcAA")]
    [InlineData("{% for k, v in {'a':2,'b':1}|dictsort %}{{k}}{{v}}{% endfor %}{% for k, v in {'a':2,'b':1}|dictsort(by='value') %}{{k}}{{v}}{% endfor %}", "a2b1b1a2")]
    [InlineData("{{ ([{'n':2},{'n':5},{'n':1}]|max(attribute='n')).n }}{{ ([{'n':2},{'n':1}]|min(attribute='n')).n }}", "51")]
    [InlineData("{{ ['a','A','b']|unique|list }}{{ ['a','A']|unique(true)|list }}{{ [{'k':'x','v':1},{'k':'X','v':2},{'k':'y','v':3}]|unique(attribute='k')|map(attribute='v')|list }}", "['a', 'b']['a', 'A'][1, 3]")]
    [InlineData("{{ '\U0001f600ab'.find('b') }}{{ '\U0001f600ab'.rfind('a') }}{{ 'a'.find('b') }}", "21-1")]
    [InlineData(@"[{{ '\x1c\x1f a\x85\u2028'|trim }}][{{ '\x1da\x1e'.strip() }}][{{ ' \x1ca '.lstrip() }}][{{ 'xyax'.rstrip('x') }}]", "[a][a][a ][xya]")]
    [InlineData("{{ '\U0001f600a\U0001f600'.strip('\U0001f600') }}{{ 'a\U0001f601'.rstrip('\U0001f600') }}", "aa\U0001f601")]
    [InlineData(@"{{ ['\x7f\xa0\xad\u200b\u2029\ue000é日'] }}", @"['\x7f\xa0\xad\u200b\u2029\ue000é日']")]
    [InlineData("{{ ['\U000e0001\U0001f600', \"it's\"] }}", "['\\U000e0001\U0001f600', \"it's\"]")]
    [InlineData(@"{{ '\x1fa\x1c b\x85c '.split() }}{{ '\x1c\x1d'.isspace() }}{{ ''.isspace() }}", "['a', 'b', 'c']TrueFalse")]
    [InlineData(@"{{ 'a\r\nb\x0bc\x1dd\u2028\n'.splitlines() }}{{ ''.splitlines() }}{{ '\n'.splitlines() }}", "['a', 'b', 'c', 'd', ''][]['']")]
    [InlineData("{{ 'é\x7f\U0001f600'|tojson(ensure_ascii=true) }}{{ {'é': 1}|tojson(ensure_ascii=true) }}", @"""\u00e9\u007f\ud83d\ude00""{""\u00e9"": 1}")]
    [InlineData(@"{{ 'a\u2028b\n\nc\n'|indent(1) }}|{{ 'a\n'|indent(1, true, true) }}", "a\n b\n\n c\n| a\n ")]
    // Longer than a list may be.
    [InlineData("{{ ('a' * 2000000)[1:]|length }} {{ ('ab' * 1000000)[::-2][-2:] }} {{ ('ab' * 1000000)[3:9:2] }} {{ ('ab' * 1000000)[-3:-1] }}", "1999999 bb bbb ba")]
    [InlineData("{{ ('\U0001f600a' * 700000)[1:]|length }} {{ ('\U0001f600a' * 700000)[-3:] }} {{ ('\U0001f600a' * 700000)[:3] }} {{ ('\U0001f600a' * 700000)[3::-1] }} {{ ('\U0001f600a' * 700000)[-2] }}", "1399999 a\U0001f600a \U0001f600a\U0001f600 a\U0001f600a\U0001f600 \U0001f600")]
    [InlineData("{{ ('ab' * 1000000)|first }}{{ ('ab' * 1000000)|last }}{{ '\U0001f600b'|first }}{{ 'b\U0001f600'|last }}{{ (''|first) is defined }}", "ab\U0001f600\U0001f600False")]
    [InlineData("{{ '\U0001f600ab'[1:2] }}{{ '\U0001f600ab'[5:] }}{{ '\U0001f600ab'[2:1] }}{{ '\U0001f600ab'[-9:-2] }}{{ 'ab'[1:1] }}{{ ''[::-1] }}", "a\U0001f600")]
    [InlineData("{{ dict({'a': 1, 'b': 2}, b=3) }}{{ dict([('a', 1), ['b', 2]]) }}{{ dict(dict(x=1)) }}{{ dict() }}", "{'a': 1, 'b': 3}{'a': 1, 'b': 2}{'x': 1}{}")]
    [InlineData("{% set n = namespace({'a': 1, 'b': 2}, b=3) %}{{ n.a }}{{ n.b }}", "13")]
    [InlineData(@"{{ 'a\r\nb\n'.splitlines(true) }}{{ 'a\rb'.splitlines(keepends=true) }}{{ 'a\nb'.splitlines(false) }}", @"['a\r\n', 'b\n']['a\r', 'b']['a', 'b']")]
    public void Renders_odd_values_as_Jinja2_does(string template, string expected) =>
        Assert.Equal(expected, Template.Parse(template).Render(new Dictionary<string, object?>(), TimeProvider.System));

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

    [Theory]
    [InlineData("{% set n = namespace(s='x') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}", "line 1: a text would have more than 16777216 characters")]
    [InlineData("{% set n = namespace(s='x') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}", "line 1: a text would have more than 16777216 characters")]
    [InlineData("{% set n = namespace(s='xxxxxxxx') %}{% for i in range(60) %}{% set n.s = n.s|replace('x', n.s) %}{% endfor %}", "line 1: a text would have more than 16777216 characters")]
    [InlineData("{% set n = namespace(s='xxxxxxxx') %}{% for i in range(60) %}{% set n.s = n.s|join(n.s) %}{% endfor %}", "line 1: a list would have more than 1048576 items")]
    [InlineData("{{ ['a' * 16777216, 'b']|join }}", "line 1: a text would have more than 16777216 characters")]
    [InlineData("{% set n = namespace(s=[1]) %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}", "line 1: a list would have more than 1048576 items")]
    [InlineData("{% set n = namespace(s=['x' * 9000000]) %}{% for i in range(60) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s }}", "line 1: a text would have more than 16777216 characters")]
    [InlineData("{{ 'a'|indent(1000000000, true) }}", "line 1: 'width' must be from 0 to 1000")]
    [InlineData("{{ {'a': 1}|tojson(indent=1000000000) }}", "line 1: 'indent' must be from 0 to 1000")]
    public void A_template_cannot_use_up_the_memory(string template, string message) =>
        Assert.Equal(message, Assert.Throws<JinjaException>(() => Template.Parse(template).Render(new Dictionary<string, object?>(), TimeProvider.System)).Message);

    [Theory]
    [InlineData("{{ ", "not ", "1 }}")]
    [InlineData("{{ ", "-", "1 }}")]
    [InlineData("{{ 1", " + 1", " }}")]
    [InlineData("{{ x", "|trim", " }}")]
    [InlineData("{{ x", ".a", " }}")]
    [InlineData("", "{% if 1 %}", "")]
    public void A_template_cannot_use_up_the_stack(string before, string part, string after)
    {
        var source = before + string.Concat(Enumerable.Repeat(part, 200_000)) + after;
        Assert.Contains("nested too deeply", Assert.Throws<JinjaException>(() => Template.Parse(source).Render(new Dictionary<string, object?> { ["x"] = "a" }, TimeProvider.System)).Message, StringComparison.Ordinal);
    }

    /// <summary>A clock on which a second takes a millisecond.</summary>
    private sealed class Hurried : TimeProvider
    {
        public override long TimestampFrequency => base.TimestampFrequency / 1000;
    }
}
