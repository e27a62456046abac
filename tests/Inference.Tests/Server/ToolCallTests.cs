using System.Text.Json;
using Moebius.Inference.Server;
using Moebius.Inference.Text;

namespace Moebius.Inference.Tests.Server;

public sealed class ToolCallTests
{
    private const string Loop = "{% for m in messages %}{% for c in m.tool_calls or [] %}";
    private const string End = "{% endfor %}{% endfor %}";

    // As GLM-4.5, Qwen2.5 and gpt-oss, Qwen3, DeepSeek-V3.1 write a call.
    private const string Items = Loop + "{% for k, v in c.function.arguments.items() %}{{ k }}={{ v }};{% endfor %}" + End;
    private const string Json = Loop + "{{ c.function.arguments | tojson }}" + End;
    private const string Either = Loop + "{% if c.function.arguments is string %}{{ c.function.arguments }}{% else %}{{ c.function.arguments | tojson }}{% endif %}" + End;
    private const string Joined = Loop + "{{ 'call' + c['function']['name'] + c['function']['arguments'] }}" + End;

    private static string Render(string template, string arguments)
    {
        using var request = JsonDocument.Parse("""{"messages":[{"role":"user","content":""},{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":ARGUMENTS}}]}]}""".Replace("ARGUMENTS", arguments, StringComparison.Ordinal));
        var body = new RequestBody(request.RootElement);
        return ChatPrompt.Render(ChatTemplate.Create(template, null, [], "test"), body, ChatMessages.Read(body), null, true, null, TimeProvider.System);
    }

    [Theory]
    [InlineData(Items, "\"{\\\"city\\\": \\\"Bath\\\", \\\"days\\\": 2}\"", "city=Bath;days=2;")]
    [InlineData(Items, "{\"city\":\"Bath\"}", "city=Bath;")]
    [InlineData(Items, "\"\"", "")]
    [InlineData(Items, "null", "")]
    [InlineData(Json, "\"{\\\"city\\\":\\\"Bath\\\"}\"", "{\"city\": \"Bath\"}")]
    [InlineData(Json, "\"no json\"", "\"no json\"")]
    [InlineData(Either, "\"{\\\"city\\\":\\\"Bath\\\"}\"", "{\"city\": \"Bath\"}")]
    [InlineData(Either, "\"{\\\"a\\\":1,\\\"a\\\":2}\"", "{\"a\":1,\"a\":2}")]
    [InlineData(Either, "\"[1]\"", "[1]")]
    [InlineData(Joined, "\"{\\\"city\\\":\\\"Bath\\\"}\"", "callf{\"city\":\"Bath\"}")]
    [InlineData(Joined, "{\"city\":\"Bath\"}", "callf{\"city\":\"Bath\"}")]
    [InlineData(Joined, "null", "callf{}")]
    public void Arguments_reach_a_template_as_it_wants_them(string template, string arguments, string expected) =>
        Assert.Equal(expected, Render(template, arguments));

    [Fact]
    public void Arguments_that_nest_without_end_or_are_no_text_stay_as_they_were_sent()
    {
        var deep = string.Concat(Enumerable.Repeat("{\\\"a\\\":", 60)) + "1" + new string('}', 60);
        Assert.StartsWith("{\"a\":{", Render(Either, $"\"{deep}\""), StringComparison.Ordinal);
        Assert.Equal("{\"a\":\"\\ud800\"}", Render(Either, "\"{\\\"a\\\":\\\"\\\\ud800\\\"}\""));
    }

    [Fact]
    public void A_template_that_takes_neither_gives_its_first_reason()
    {
        var error = Assert.Throws<ApiException>(() => Render("{{ raise_exception('no calls here') }}", "\"{}\""));
        Assert.Contains("no calls here", error.Message, StringComparison.Ordinal);
    }
}
