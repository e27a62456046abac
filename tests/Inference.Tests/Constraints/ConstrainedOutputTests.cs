using System.Text.Json;
using Moebius.Inference.Constraints;
using Moebius.Inference.Engine;
using Moebius.Inference.Tests.Engine;
using Moebius.Inference.Tests.Server;
using Moebius.Inference.Text.Tokenization;
using NJsonSchema;

namespace Moebius.Inference.Tests.Constraints;

[Trait("Category", "Component")]
public class ConstrainedOutputTests
{
    private static readonly string[] Schemas =
    [
        """{"type":"object","properties":{"title":{"type":"string","maxLength":12},"year":{"type":"integer","minimum":1800,"maximum":1999},"kind":{"enum":["novel","letter"]}},"required":["title","year","kind"],"additionalProperties":false}""",
        """{"type":"array","minItems":2,"maxItems":4,"items":{"anyOf":[{"type":"boolean"},{"type":"integer","maximum":-5},{"type":"null"}]}}""",
        """{"type":"object","properties":{"value":{"type":"number"},"children":{"type":"array","maxItems":2,"items":{"$ref":"#"}}},"required":["value"]}""",
        """{"type":"object","properties":{"a":{"type":["string","null"],"minLength":3,"maxLength":3},"b":{"const":[1,"x"]},"c":{"type":"boolean"}}}""",
        """{"type":"object","additionalProperties":{"type":"string","maxLength":4}}""",
        """{"type":"number"}""",
    ];

    public static TheoryData<int> Indices => [.. Enumerable.Range(0, Schemas.Length)];

    [Theory]
    [MemberData(nameof(Indices))]
    public async Task Whatever_the_model_wants_the_output_is_valid(int index)
    {
        var tokenizer = EngineHarness.Tokenizer;
        using var document = JsonDocument.Parse(Schemas[index]);
        var grammar = new OutputGrammar(JsonSchemaCompiler.Compile(document.RootElement), new TokenTrie(tokenizer, ToyModel.Vocabulary));
        // The judge counts UTF-16 units where JSON schema means characters.
        var judge = await JsonSchema.FromJsonAsync(Schemas[index].Replace("\"maxLength\":12", "\"maxLength\":24", StringComparison.Ordinal).Replace("\"maxLength\":4", "\"maxLength\":8", StringComparison.Ordinal).Replace("\"maxLength\":3", "\"maxLength\":6", StringComparison.Ordinal), TestContext.Current.CancellationToken);
        var finished = 0;
        for (var seed = 0; seed < 40; seed++)
        {
            var random = new Random(seed);
            var constraint = new OutputConstraint(grammar, new HashSet<int> { 0 });
            var sampler = new Sampler(new SamplingSettings { Seed = seed, Temperature = seed % 2 }, []);
            var output = new List<int>();
            for (var i = 0; i < 400 && !constraint.Finished && (output.Count == 0 || output[^1] != 0); i++)
            {
                var logits = Enumerable.Range(0, ToyModel.Vocabulary).Select(token => Wish(token, random)).ToArray();
                output.Add(sampler.Next(logits, constraint).Chosen.Token);
                constraint.Accept(output[^1]);
            }

            if (!constraint.Finished && output[^1] != 0)
                continue;
            finished++;
            var text = tokenizer.Decode(output.Where(token => token != 0));
            Assert.True(judge.Validate(text).Count == 0, $"{text} is not valid under {Schemas[index]}");
        }

        Assert.True(finished >= 30, $"only {finished} of 40 outputs ended");

        // A model that likes to close what it opened, and else wants anything.
        float Wish(int token, Random random) => (tokenizer.TextBytes(token).IndexOfAny("\"}]"u8) >= 0 || token == 0 ? 3 : 0) + (float)random.NextDouble();
    }

    [Fact]
    public void A_vocabulary_that_cannot_write_the_output_is_an_error()
    {
        // The end of sequence is all that these tokens can say.
        var grammar = new OutputGrammar(JsonGrammar.Object, new TokenTrie(EngineHarness.Tokenizer, 1));
        var constraint = new OutputConstraint(grammar, new HashSet<int> { 0 });
        Assert.Throws<InvalidDataException>(() => new Sampler(new SamplingSettings(), []).Next(new float[ToyModel.Vocabulary], constraint));
    }

    /// <summary>A tokenizer that does not call its end special: then the end's name is a text that fits inside a string.</summary>
    [Fact]
    public void The_end_of_sequence_fits_only_where_the_text_may_end()
    {
        using var schema = JsonDocument.Parse("""{"type":"string"}""");
        var tokenizer = EngineHarness.Tokenizer;
        var end = tokenizer.Encode("the", false).Single();
        var quote = tokenizer.Encode("\"", false).Single();
        var constraint = new OutputConstraint(new OutputGrammar(JsonSchemaCompiler.Compile(schema.RootElement), new TokenTrie(tokenizer, tokenizer.Count)), new HashSet<int> { end });
        foreach (var fits in new[] { false, false })
        {
            var logits = new float[tokenizer.Count];
            constraint.Restrict(logits);
            Assert.Equal(fits, float.IsFinite(logits[end]));
            constraint.Accept(quote);
        }

        Assert.True(constraint.Finished);
    }

    [Fact]
    public async Task A_chat_under_a_schema_ends_by_itself_with_valid_JSON()
    {
        await using var harness = await ServerHarness.StartAsync();
        var (_, body, _) = await harness.PostAsync("v1/chat/completions", Chat("""{"type":"json_schema","json_schema":{"name":"book","strict":true,"schema":SCHEMA}}""".Replace("SCHEMA", Schemas[0], StringComparison.Ordinal)));
        Assert.Equal("stop", (string?)body["choices"]![0]!["finish_reason"]);
        using var answer = JsonDocument.Parse((string)body["choices"]![0]!["message"]!["content"]!);
        Assert.InRange(answer.RootElement.GetProperty("year").GetInt32(), 1800, 1999);
    }

    [Fact]
    public async Task What_runs_beside_a_constrained_sequence_is_unchanged()
    {
        await using var harness = await ServerHarness.StartAsync();
        var free = """{"model":"toy","prompt":[5,6,7],"max_tokens":60,"temperature":0}""";
        var (_, alone, _) = await harness.PostAsync("v1/completions", free);
        var beside = harness.PostAsync("v1/completions", """{"model":"toy","prompt":[8],"max_tokens":200,"temperature":0,"response_format":{"type":"json_object"}}""");
        var (_, again, _) = await harness.PostAsync("v1/completions", free);
        Assert.Equal((string?)alone["choices"]![0]!["text"], (string?)again["choices"]![0]!["text"]);
        Assert.StartsWith("{", (string?)(await beside).Body["choices"]![0]!["text"], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"type":"json_schema"}""", "response_format.json_schema", "'response_format.json_schema' is required.")]
    [InlineData("""{"type":"json_schema","json_schema":{"schema":{}}}""", "response_format.json_schema.name", "'response_format.json_schema.name' is required.")]
    [InlineData("""{"type":"json_schema","json_schema":{"name":"a b","schema":{}}}""", "response_format.json_schema.name", "'response_format.json_schema.name' must be 1 to 64 letters, digits, '_' or '-'.")]
    [InlineData("""{"type":"json_schema","json_schema":{"name":"a","schema":{"properties":{"x":{"type":"string","pattern":"a"}}}}}""", "response_format.json_schema.schema", "'response_format.json_schema.schema': /properties/x/pattern: the keyword 'pattern' is not supported.")]
    [InlineData("""{"type":"grammar"}""", "response_format.type", "'response_format.type' is 'grammar': it must be 'text', 'json_object' or 'json_schema'.")]
    public async Task A_wrong_format_is_answered_with_the_field(string format, string field, string message)
    {
        await using var harness = await ServerHarness.StartAsync();
        var (status, body, _) = await harness.PostAsync("v1/chat/completions", Chat(format));
        Assert.Equal(400, (int)status);
        Assert.Equal(field, (string?)body["error"]!["param"]);
        Assert.Equal(message, (string?)body["error"]!["message"]);
    }

    /// <summary>Alternatives that differ only behind their first letters, at once or after a bracket.</summary>
    [Theory]
    [InlineData("ALTERNATIVES", false)]
    [InlineData("""{"type":"array","minItems":1,"items":ALTERNATIVES}""", false)]
    [InlineData("""{"type":"array","minItems":1,"items":ALTERNATIVES}""", true)]
    public async Task A_schema_with_too_many_readings_is_refused_and_the_server_goes_on(string schema, bool stream)
    {
        await using var harness = await ServerHarness.StartAsync();
        var alternatives = $"{{\"anyOf\":[{string.Join(',', Enumerable.Range(1, 3000).Select(length => $"{{\"type\":\"string\",\"maxLength\":{length}}}"))}]}}";
        var format = """{"type":"json_schema","json_schema":{"name":"many","schema":SCHEMA}}""".Replace("SCHEMA", schema.Replace("ALTERNATIVES", alternatives, StringComparison.Ordinal), StringComparison.Ordinal);
        if (stream)
        {
            using var content = new StringContent(Chat(format).Replace("{\"model\"", "{\"stream\":true,\"model\"", StringComparison.Ordinal), System.Text.Encoding.UTF8, "application/json");
            using var response = await harness.Http.PostAsync(new Uri("v1/chat/completions", UriKind.Relative), content, TestContext.Current.CancellationToken);
            Assert.Contains("too many readings", await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        }
        else
        {
            var (status, body, _) = await harness.PostAsync("v1/chat/completions", Chat(format));
            Assert.Equal((400, "response_format"), ((int)status, (string?)body["error"]!["param"]));
            Assert.Contains("too many readings", (string?)body["error"]!["message"], StringComparison.Ordinal);
        }

        var (after, _, _) = await harness.PostAsync("v1/chat/completions", Chat("""{"type":"json_object"}"""));
        Assert.Equal(200, (int)after);
    }

    [Fact]
    public void What_takes_too_long_to_follow_is_refused_though_it_has_few_readings()
    {
        // Numbers whose first digits are all different places: each is gone into.
        var texts = Enumerable.Range(0, 256).Select(value => new[] { (byte)value }).Concat(Enumerable.Range(10, 9990).Select(number => System.Text.Encoding.ASCII.GetBytes($"{number}"))).ToArray();
        var trie = new TokenTrie(new Tokenizer(null, null, null!, [], [.. texts], [], []), texts.Length);
        Fit(20);
        Assert.Contains("before one token", Assert.Throws<AmbiguousGrammarException>(() => Fit(190)).Message, StringComparison.Ordinal);

        void Fit(int count)
        {
            using var schema = JsonDocument.Parse($"{{\"anyOf\":[{string.Join(',', Enumerable.Range(1, count).Select(i => $"{{\"type\":\"integer\",\"minimum\":{i * 7919},\"maximum\":{i * 1_000_000_007L}}}"))}]}}");
            _ = new OutputGrammar(JsonSchemaCompiler.Compile(schema.RootElement), trie);
        }
    }

    private static string Chat(string format) =>
        $$"""{"model":"toy","messages":[{"role":"user","content":"Hello"}],"max_tokens":300,"seed":7,"response_format":{{format}}}""";
}
