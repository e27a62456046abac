using System.Text.Json;
using Moebius.PromptOptimizer.Agents;

namespace Moebius.PromptOptimizer.Tests.Agents;

public sealed class JsonExtractionTests
{
    [Theory]
    [InlineData("{\"a\": 1}", "{\"a\": 1}")]
    [InlineData("Sure! Here it is:\n```json\n{\"a\": \"}{\"}\n```\nAnything else?", "{\"a\": \"}{\"}")]
    [InlineData("{not json} then {\"a\": {\"b\": []}} and {\"c\": 1}", "{\"a\": {\"b\": []}}")]
    [InlineData("<think>maybe {\"a\": 0}</think>{\"a\": 1}", "{\"a\": 1}")]
    [InlineData("so</think>{\"a\": 0} or rather</think>{\"a\": 1}", "{\"a\": 1}")]
    [InlineData("{\"a\": \"he says </think> and\"}", "{\"a\": \"he says </think> and\"}")]
    [InlineData("```json\n{\"a\": \"</think>\"}\n```", "{\"a\": \"</think>\"}")]
    [InlineData("<think>maybe {\"a\": 0}</think>{\"a\": \"</think>\"}", "{\"a\": \"</think>\"}")]
    [InlineData("<think>maybe {\"a\": 0}</think> or not", null)]
    [InlineData("maybe {\"a\": 0}</think> or not", null)]
    [InlineData("{\"\\ud800\": 1}", null)]
    [InlineData("{\"a\": \"cut off", null)]
    [InlineData("prose without any object", null)]
    [InlineData("", null)]
    [InlineData("{\"a\": 1, \"a\": 2}", null)]
    public void The_first_whole_object_is_found(string text, string? expected) => Assert.Equal(expected, JsonExtraction.FindObject(text));

    // Each opening brace is tried, and costs what follows it: so many and no more are.
    [Theory]
    [InlineData(31, 0, true)]
    [InlineData(32, 0, false)]
    [InlineData(0, 262_136, true)]
    [InlineData(0, 262_137, false)]
    public void What_comes_after_many_braces_or_a_long_text_is_not_looked_for(int braces, int blanks, bool found) =>
        Assert.Equal(found ? "{\"a\": 1}" : null, JsonExtraction.FindObject(new string('{', braces) + new string(' ', blanks) + "{\"a\": 1}"));

    [Property]
    public bool What_is_found_in_any_text_is_an_object_that_stands_there(string? text, string? more)
    {
        var answer = $"{text}{{\"a\": {JsonSerializer.Serialize(more)}}}{text}";
        return JsonExtraction.FindObject(answer) is not { } found
            || (answer.Contains(found, StringComparison.Ordinal) && JsonDocument.Parse(found).RootElement.ValueKind == JsonValueKind.Object);
    }

    [Theory]
    [InlineData("IntentInference", "{}", "PropertyRequired")]
    [InlineData("SelfEvaluation", """{"elements": [{"number": 1, "present": "yes", "quote": ""}], "contradictions": [], "unrequested": [], "advice": []}""", "elements[0]")]
    [InlineData("SelfEvaluation", """{"elements": [], "contradictions": [], "unrequested": [], "advice": [], "settings": {}}""", "NoAdditionalPropertiesAllowed")]
    public void An_object_that_does_not_fit_is_refused_with_the_place(string schema, string json, string problem) =>
        Assert.Contains(problem, new AgentSchema(Resources.Text($"{schema}.schema.json")).Problem(json), StringComparison.Ordinal);

    [Fact]
    public void A_text_longer_than_the_schema_allows_is_refused_although_the_model_never_sees_the_bound()
    {
        var schema = new AgentSchema(Resources.Text("SceneAndStyle.schema.json"));
        var draft = ScriptedEndpoint.Draft(new string('x', 4001));
        Assert.Contains("prompt: StringTooLong", schema.Problem(draft.ToJsonString()), StringComparison.Ordinal);
        Assert.DoesNotContain("maxLength", schema.WireText, StringComparison.Ordinal);
        draft["prompt"] = "short";
        Assert.Null(schema.Problem(draft.ToJsonString()));
    }
}
