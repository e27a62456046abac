using System.Text.Json;
using System.Text.Json.Nodes;
using Moebius.Inference.Server;
using Moebius.Inference.Tests.Engine;
using Moebius.Inference.Text;

namespace Moebius.Inference.Tests.Server;

/// <summary>What a model's chat template would drop is refused by name; what it only writes otherwise is not.</summary>
[Trait("Category", "Component")]
public sealed class TemplateCheckTests : IDisposable
{
    // As the templates of models without tools are: roles that they do not know are passed over.
    private const string Plain = "{% for m in messages %}{% if m['role'] in ['system', 'user', 'assistant'] %}{{ m['role'] }}: {{ m['content'] | trim }}\n{% endif %}{% endfor %}";
    private const string Opened = Plain + "{% if add_generation_prompt %}assistant:{% endif %}";
    private const string Tools = "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.role }}: {{ m.content or '' }}{% for c in m.tool_calls or [] %}{{ c | tojson }}{% endfor %}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";

    private const string Now = """ "tools":[{"type":"function","function":{"name":"now"}}]""";
    private const string User = """ "messages":[{"role":"user","content":"What time is it?"}]""";
    private const string Called = """{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"now","arguments":"{}"}}]}""";

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(User + "," + Now, "tools")]
    [InlineData(User + "," + Now + ",\"tool_choice\":\"auto\"", "tools")]
    [InlineData(User + ",\"add_generation_prompt\":false", "add_generation_prompt")]
    [InlineData(User + ",\"reasoning_effort\":\"high\"", "reasoning_effort")]
    [InlineData(User + ",\"chat_template_kwargs\":{\"enable_thinking\":false}", "chat_template_kwargs.enable_thinking")]
    // Short enough to stand in what the template writes by itself: behind the last message, and between two.
    [InlineData(""" "messages":[{"role":"user","content":"a"},{"role":"tool","content":"ss"}],"add_generation_prompt":true""", "messages[1]")]
    [InlineData(""" "messages":[{"role":"user","content":"a"},{"role":"tool","content":"ss"},{"role":"assistant","content":"Good day."}]""", "messages[1]")]
    [InlineData(""" "messages":[{"role":"user","content":"a"},{"role":"tool","content":"noon","tool_call_id":"1"}]""", "messages[1]")]
    [InlineData(""" "messages":[{"role":"user","content":"a"},CALLED]""", "messages[1].tool_calls")]
    [InlineData(""" "messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","prefix":true}]""", "messages[1].prefix")]
    [InlineData(""" "messages":[{"role":"user","content":"a"},{"role":"assistant","content":"","function_call":{"name":"now"}}]""", "messages[1].function_call")]
    [InlineData(""" "messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}]""", "messages[0].content[0].cache_control")]
    public async Task What_the_template_drops_is_refused_by_name(string fields, string param)
    {
        await using var harness = await StartAsync(fields.Contains("\"add_generation_prompt\":true", StringComparison.Ordinal) ? Opened : Plain);
        var (status, body, _) = await harness.PostAsync("v1/chat/completions", Request(fields));
        Assert.Equal((400, param), ((int)status, (string?)body["error"]!["param"]));
        Assert.Equal("invalid_request_error", (string?)body["error"]!["type"]);
        Assert.Equal(0, harness.Model.Computed);
    }

    [Theory]
    [InlineData(Plain, User + ",\"add_generation_prompt\":true")]
    [InlineData(Plain, User + "," + Now + ",\"tool_choice\":\"none\"")]
    [InlineData(Plain, User + ",\"tools\":[]")]
    [InlineData(Plain, """ "messages":[{"role":"developer","content":"Be brief."},{"role":"user","content":"a"}]""")]
    [InlineData(Plain, """ "messages":[{"role":"user","content":" \n "},{"role":"user","content":"  a  ","name":"Emma"}]""")]
    [InlineData(Plain, """ "messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","reasoning":"Hm.","refusal":null,"annotations":[],"audio":null,"tool_calls":null},{"role":"user","content":"a"}]""")]
    [InlineData(Plain, User + ",\"functions\":null,\"min_tokens\":null")]
    // As an answer is that ended while it was reasoned about.
    [InlineData(Plain, """ "messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"reasoning_content":"Hm.","reasoning":"Hm."},{"role":"user","content":"a"}]""")]
    [InlineData("{% for m in messages %}{{ m.reasoning_content or '' }}{{ m.content + '' }}{% endfor %}", """ "messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"reasoning":"Hm."},{"role":"user","content":"a"}]""")]
    [InlineData(Tools, User + "," + Now)]
    [InlineData(Tools, User + ",\"add_generation_prompt\":false")]
    [InlineData(Tools, """ "messages":[{"role":"user","content":"a"},CALLED,{"role":"tool","content":"noon","tool_call_id":"1"}]""")]
    // One that writes a text otherwise, one that changes the order, one that takes earlier thoughts out, one that drops what is said beside a call.
    [InlineData("{% for m in messages %}{{ m.content | tojson }}{% endfor %}", """ "messages":[{"role":"user","content":"say \"a\"\n now"}]""")]
    [InlineData("{% for m in messages %}{{ m.content | tojson(ensure_ascii=true) }}{% endfor %}", """ "messages":[{"role":"user","content":"olé"}]""")]
    [InlineData("{% for m in messages | reverse %}{{ m.content }};{% endfor %}", """ "messages":[{"role":"system","content":"a b"},{"role":"user","content":"c d"},{"role":"user","content":"e f"}]""")]
    [InlineData("{% for m in messages %}{{ m.content.split('</think>')[-1] | upper }}{% endfor %}", """ "messages":[{"role":"user","content":"a"},{"role":"assistant","content":"<think>Hm.</think>Good day."},{"role":"user","content":"b"}]""")]
    [InlineData("{% for m in messages %}{{ m.tool_calls | tojson if m.tool_calls else m.content }}{% endfor %}", """ "messages":[{"role":"user","content":"a"},{"role":"assistant","content":"I shall look.","tool_calls":[{"function":{"name":"now"}}]}]""")]
    // As DeepSeek's ask for calls.
    [InlineData("{% for m in messages %}{% if m['tool_calls'] is defined %}{% for c in m['tool_calls'] %}{{ c | tojson }}{% endfor %}{% else %}{{ m.content }}{% endif %}{% endfor %}", """ "messages":[{"role":"user","content":"a"},{"role":"assistant","content":"Good day.","tool_calls":[]},{"role":"assistant","content":"And you?","tool_calls":null}]""")]
    [InlineData("{% for m in messages %}{% if m.content | length > 9 %}{{ raise_exception('too long') }}{% endif %}{{ m.content | upper }}{% endfor %}", """ "messages":[{"role":"user","content":"Good day."}]""")]
    public async Task What_the_template_writes_is_taken(string template, string fields)
    {
        await using var harness = await StartAsync(template);
        var (status, body, _) = await harness.PostAsync("v1/chat/completions", Request(fields));
        Assert.True((int)status == 200, body.ToJsonString());
    }

    [Theory]
    [InlineData("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}", "[system]Be brief.[user]a")]
    [InlineData("{% for m in messages %}[{{ 'developer' if m.role in ['system', 'developer'] else m.role }}]{{ m.content }}{% endfor %}", "[developer]Be brief.[user]a")]
    public void A_developer_is_the_system_to_a_template_that_knows_none(string template, string prompt)
    {
        using var request = JsonDocument.Parse("""{"messages":[{"role":"developer","content":"Be brief."},{"role":"user","content":"a"}]}""");
        var body = new RequestBody(request.RootElement);
        Assert.Equal(prompt, ChatPrompt.Render(ChatTemplate.Create(template, null, [], "t"), body, ChatMessages.Read(body), null, false, null, TimeProvider.System));
    }

    [Fact]
    public async Task A_call_that_is_asked_for_needs_no_template()
    {
        await using var harness = await StartAsync(Plain);
        var (_, body, _) = await harness.PostAsync("v1/chat/completions", Request(User + "," + Now + ",\"tool_choice\":\"required\",\"parallel_tool_calls\":false").Replace("\"max_tokens\":2,", "", StringComparison.Ordinal));
        Assert.Equal("now", (string?)body["choices"]![0]!["message"]!["tool_calls"]![0]!["function"]!["name"]);
    }

    [Fact]
    public async Task An_integer_of_very_many_digits_in_arguments_is_refused_by_their_field()
    {
        await using var harness = await StartAsync(Tools);
        var (status, body, _) = await harness.PostAsync("v1/chat/completions", Request(""" "messages":[{"role":"user","content":"a"},CALLED]""").Replace("\"{}\"", $"\"{{\\\"a\\\":[1,{new string('7', 4301)}]}}\"", StringComparison.Ordinal));
        Assert.Equal((400, "messages[1].tool_calls[0].function.arguments"), ((int)status, (string?)body["error"]!["param"]));
    }

    [Fact]
    public async Task Many_messages_that_are_left_out_are_told_of_soon()
    {
        // Looked for one by one in all of the prompt they would take minutes.
        await using var harness = await StartAsync(Plain, new ToyModel(context: 400_000, blockTokens: 4));
        var messages = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = new string('a', 2_000_000) });
        for (var i = 0; i < 50_000; i++)
            messages.Add(new JsonObject { ["role"] = i < 49_999 ? "user" : "tool", ["content"] = $"b{i}" });
        var (status, body, _) = await harness.PostAsync("v1/chat/completions", Request($"\"messages\":{messages.ToJsonString()}"));
        Assert.Equal((400, "messages[50000]"), ((int)status, (string?)body["error"]!["param"]));
    }

    [Fact]
    public async Task A_text_that_is_almost_everywhere_in_the_prompt_is_looked_for_soon()
    {
        // At a million places all of the text's first half agrees, and its last character too: compared at each it would take minutes.
        string some = new('a', 1 << 20), others = new('c', 1 << 20);
        using var messages = JsonDocument.Parse($$"""[{"role":"user","content":"{{some}}b{{others}}"}]""");
        var looked = 0;
        await Eventually.EndsAsync(Task.Run(() => TemplateCheck.Messages(some + some + others + others, messages.RootElement, marked =>
        {
            looked++;
            return marked[0].GetProperty("content").GetString()!;
        })), "the search");
        Assert.Equal(1, looked);
    }

    [Theory]
    [InlineData("[u]{0}[u]{1}", 0)]
    [InlineData("[u]{1}[u]{0}", 1)]
    // Only the end of the first stands there.
    [InlineData("[u]x{2}[u]{1}", 1)]
    public void A_long_text_is_in_the_prompt_where_all_of_it_is(string form, int looks)
    {
        string one = "a" + new string('=', 1000), other = "b" + new string('=', 1000);
        using var messages = JsonDocument.Parse($$"""[{"role":"user","content":"{{one}}"},{"role":"user","content":"{{other}}"}]""");
        var looked = 0;
        TemplateCheck.Messages(string.Format(System.Globalization.CultureInfo.InvariantCulture, form, one, other, one[1..]), messages.RootElement, marked =>
        {
            looked++;
            return string.Concat(marked.EnumerateArray().Select(message => message.GetProperty("content").GetString()));
        });
        Assert.Equal(looks, looked);
    }

    private Task<ServerHarness> StartAsync(string template, ToyModel? model = null) =>
        ServerHarness.StartAsync(ServerHarness.Options with { ModelDirectory = Fixtures.WithTemplate(_directory, template) }, model);

    private static string Request(string fields) => "{\"model\":\"toy\",\"max_tokens\":2,\"temperature\":0," + fields.Replace("CALLED", Called, StringComparison.Ordinal) + "}";
}
