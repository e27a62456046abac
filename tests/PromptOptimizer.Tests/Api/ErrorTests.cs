using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;

namespace Moebius.PromptOptimizer.Tests.Api;

/// <summary>What clients get for requests that cannot be honoured. The model is an address where nobody listens.</summary>
[Trait("Category", "Component")]
public sealed class ErrorTests : IAsyncLifetime
{
    private readonly TemporaryFolder _folder = new();
    private TestService _service = null!;

    public async ValueTask InitializeAsync() => _service = await TestService.StartAsync(TestService.Config("http://127.0.0.1:9/v1"), _folder.Path);

    public async ValueTask DisposeAsync()
    {
        await _service.DisposeAsync();
        _folder.Dispose();
    }

    [Theory]
    [InlineData("{}", "body", "required field missing: 'prompt'")]
    [InlineData("""{"prompt": "x", "promt": "y"}""", "promt", "unknown field")]
    [InlineData("""{"prompt": 5}""", "prompt", "wrong type: use a text")]
    [InlineData("""{"prompt": ""}""", "prompt", "0 characters: use 1 to 8192 characters")]
    [InlineData("""{"prompt": "  \n"}""", "prompt", "is blank")]
    [InlineData("""{"prompt": "a\u0000b"}""", "prompt", "control characters")]
    [InlineData("""{"prompt": "a\ud800b"}""", "body", "")]
    [InlineData("""{"prompt": "x", "prompt": "y"}""", "body", "not valid JSON")]
    [InlineData("""{"prompt": "x", "dialects": ["Paint"]}""", "dialects[0]", "wrong type: use one of StableDiffusion, Flux, Midjourney, DallE")]
    [InlineData("""{"prompt": "x", "dialects": []}""", "dialects", "0 items: use 1 to 8 items")]
    [InlineData("""{"prompt": "x", "budget": {"rounds": 21}}""", "budget.rounds", "21 is out of range: use a whole number from 1 to 20")]
    [InlineData("""{"prompt": "x", "budget": {"tokens": 0}}""", "budget.tokens", "out of range")]
    [InlineData("""{"prompt": "x", "budget": {"deadline": "soon"}}""", "budget.deadline", "'soon' is not a duration")]
    [InlineData("""{"prompt": "x", "budget": {"deadline": "0s"}}""", "budget.deadline", "must be longer than 0s")]
    [InlineData("""{"prompt": "x", "idempotencyKey": "a b"}""", "idempotencyKey", "does not match")]
    [InlineData("""["x"]""", "body", "expected a JSON object")]
    [InlineData("""{"prompt": """, "body", "not valid JSON at line 1")]
    [InlineData("""{"\ud800": 1, "prompt": "x"}""", "body", "half of a surrogate pair")]
    public async Task A_wrong_field_is_named(string body, string field, string problem)
    {
        using var response = await _service.Client.PostAsync("/v1/jobs", new StringContent(body, Encoding.UTF8, "application/json"));
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(HttpStatusCode.BadRequest == response.StatusCode, text);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType!.MediaType);
        var errors = JsonNode.Parse(text)!["errors"]!.AsObject();
        Assert.Contains(field, errors.Select(error => error.Key));
        Assert.Contains(problem, (string?)errors[field]![0], StringComparison.Ordinal);
    }

    /// <summary>Another encoding than UTF-8 would be read as other letters.</summary>
    [Fact]
    public async Task A_body_in_another_encoding_is_refused()
    {
        using var content = new ByteArrayContent(Encoding.Latin1.GetBytes("""{"prompt": "ein Löwe"}"""));
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        using var response = await _service.Client.PostAsync("/v1/jobs", content);
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(HttpStatusCode.BadRequest == response.StatusCode, text);
        Assert.Equal("body: is not UTF-8", (string?)JsonNode.Parse(text)!["detail"]);
    }

    [Fact]
    public async Task A_parameter_that_a_deletion_does_not_know_cancels_nothing()
    {
        var id = (string)(await _service.CreateAsync(new { prompt = "a lion" }))["id"]!;
        using var response = await _service.Client.DeleteAsync($"/v1/jobs/{id}?prge=true");
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.False((bool)(await _service.GetAsync(id))["cancelRequested"]!);
    }

    [Fact]
    public async Task Blank_feedback_is_told_what_to_say()
    {
        var problem = await _service.PostAsync("/v1/jobs/none/feedback", new { feedback = " " }, HttpStatusCode.BadRequest);
        Assert.Equal("feedback: is blank: say what should change", (string?)problem["detail"]);
    }

    [Fact]
    public async Task A_form_and_a_large_body_are_refused()
    {
        using var form = await _service.Client.PostAsync("/v1/jobs", new StringContent("""{"prompt": "x"}""", new MediaTypeHeaderValue("text/plain")));
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, form.StatusCode);
        using var large = await _service.Client.PostAsync("/v1/jobs", new StringContent($$"""{"prompt": "{{new string('x', 70_000)}}"}""", Encoding.UTF8, "application/json"));
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, large.StatusCode);
        Assert.Empty(JsonNode.Parse(await _service.Client.GetStringAsync("/v1/jobs"))!["items"]!.AsArray());
    }

    [Theory]
    [InlineData("/v1/jobs/none", 404)]
    [InlineData("/v1/jobs/none/events", 404)]
    [InlineData("/v1/jobs/none/rounds/1/image", 404)]
    [InlineData("/nothing", 404)]
    [InlineData("/v1/jobs?limit=0", 400)]
    [InlineData("/v1/jobs?state=succeeded", 400)]
    [InlineData("/v1/jobs?state=Queued,Running", 400)]
    [InlineData("/v1/jobs?state=%2B1", 400)]
    [InlineData("/v1/jobs?before=x", 400)]
    [InlineData("/v1/jobs?page=2", 400)]
    [InlineData("/v1/jobs/none/events?after=x", 404)]
    public async Task A_path_or_parameter_that_is_not_there_is_a_problem(string path, int status)
    {
        using var response = await _service.Client.GetAsync(path);
        Assert.Equal(status, (int)response.StatusCode);
        Assert.Equal(status, (int)JsonNode.Parse(await response.Content.ReadAsStringAsync())!["status"]!);
    }

    [Fact]
    public async Task Feedback_without_a_result_is_refused_with_the_reason()
    {
        var job = await _service.RunAsync(new { prompt = "a lion", budget = new { deadline = "100ms" } });
        var problem = await _service.PostAsync($"/v1/jobs/{job["id"]}/feedback", new { feedback = "darker" }, HttpStatusCode.Conflict);
        Assert.Contains("has no result", (string?)problem["detail"], StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_endpoint_that_cannot_be_reached_is_named()
    {
        var job = await _service.RunAsync(new { prompt = "a lion" });
        Assert.Equal("ModelUnavailable", (string?)job["failure"]!["reason"]);
        Assert.Contains("languageModel: the endpoint cannot be reached (ConnectionError)", (string?)job["failure"]!["message"], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Lists_are_paged_newest_first_and_filtered_by_state()
    {
        var ids = new List<string>();
        for (var number = 0; number < 5; number++)
            ids.Add((string)(await _service.CreateAsync(new { prompt = $"lion {number}", budget = new { deadline = "1ms" } }))["id"]!);
        foreach (var id in ids)
            await _service.EndAsync(id);
        var seen = new List<string>();
        string? next = null;
        do
        {
            var page = JsonNode.Parse(await _service.Client.GetStringAsync($"/v1/jobs?limit=2&state=Failed{(next is null ? "" : $"&before={next}")}"))!;
            seen.AddRange(page["items"]!.AsArray().Select(item => (string)item!["id"]!));
            next = (string?)page["next"];
        }
        while (next is not null);
        ids.Reverse();
        Assert.Equal(ids, seen);
        Assert.Empty(JsonNode.Parse(await _service.Client.GetStringAsync("/v1/jobs?state=Running"))!["items"]!.AsArray());
    }

    [Fact]
    public async Task The_page_may_load_and_run_nothing_but_its_own_files()
    {
        using var page = await _service.Client.GetAsync("/");
        Assert.Equal(HttpStatusCode.OK, page.StatusCode);
        var policy = Assert.Single(page.Headers.GetValues("Content-Security-Policy"));
        Assert.StartsWith("default-src 'none'; script-src 'self';", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
        var html = await page.Content.ReadAsStringAsync();
        Assert.DoesNotContain("://", html, StringComparison.Ordinal);
        Assert.DoesNotContain("<style", html, StringComparison.Ordinal);
        // Text reaches the page as text: none of the ways by which it could become markup or code is used.
        var script = await _service.Client.GetStringAsync("/app.js");
        foreach (var way in new[] { "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "javascript:" })
            Assert.DoesNotContain(way, script, StringComparison.Ordinal);
        foreach (var path in new[] { "/style.css", "/favicon.svg", "/healthz", "/readyz" })
            (await _service.Client.GetAsync(path)).EnsureSuccessStatusCode().Dispose();
    }
}
