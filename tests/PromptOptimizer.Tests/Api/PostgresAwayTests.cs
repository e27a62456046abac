using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Moebius.PromptOptimizer.Tests.Stores;

namespace Moebius.PromptOptimizer.Tests.Api;

/// <summary>A PostgreSQL server that goes away, comes back, and was not there to begin with.</summary>
[Trait("Category", "Component")]
public sealed class PostgresAwayTests : IAsyncLifetime
{
    private PostgresServer _server = null!;
    private PostgresTestStore _store = null!;
    private ScriptedEndpoint _model = null!;

    public async ValueTask InitializeAsync()
    {
        _server = await PostgresServer.StartAsync();
        _store = new PostgresTestStore(_server);
        _model = await ScriptedEndpoint.StartAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (_model is not null)
            await _model.DisposeAsync();
        if (_server is not null)
            await _server.DisposeAsync();
    }

    [Fact]
    public async Task Clients_are_told_to_come_back_and_jobs_go_on_when_it_is_there_again()
    {
        var reached = new TaskCompletionSource();
        var release = new TaskCompletionSource();
        _model.Override = async (call, cancel) =>
        {
            if (call is not { Agent: "self-evaluation", Number: 1 })
                return null;
            reached.TrySetResult();
            await release.Task.WaitAsync(cancel);
            return null;
        };
        await using var service = await TestService.StartAsync(TestService.Config(_model.Url), _store);
        var id = (string)(await service.CreateAsync(new { prompt = "birthday blessing for a friend, he is like a lion" }))["id"]!;
        await Eventually.EndsAsync(reached.Task);

        await _server.StopAsync();
        using (var response = await service.Client.PostAsJsonAsync("/v1/jobs", new { prompt = "a lion" }))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
            Assert.NotNull(response.Headers.RetryAfter);
            var detail = (string)JsonNode.Parse(await response.Content.ReadAsStringAsync())!["detail"]!;
            Assert.StartsWith("store: PostgreSQL does not answer (", detail, StringComparison.Ordinal);
            Assert.DoesNotContain("s3cr", detail, StringComparison.Ordinal);
        }

        await Eventually.TrueAsync(async () => await StatusAsync(service, "/readyz") == HttpStatusCode.ServiceUnavailable);
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(service, "/healthz"));
        // Metrics go on, without what only the store knows.
        Assert.DoesNotContain("moebius_prompt_jobs{", await service.Client.GetStringAsync("/metrics"), StringComparison.Ordinal);
        // The round is finished while there is no store to take it.
        release.SetResult();
        await Task.Delay(500);

        await _server.StartAsync();
        var job = await service.EndAsync(id);
        Assert.Equal("Succeeded", (string?)job["state"]);
        Assert.Equal(0, (int?)job["retry"]?["attempts"] ?? 0);
        Assert.Equal(1, _model.Count("intent-inference"));
        await Eventually.TrueAsync(async () => await StatusAsync(service, "/readyz") == HttpStatusCode.OK);
    }

    [Fact]
    public async Task A_service_that_starts_before_it_is_ready_once_it_is_there()
    {
        await _server.StopAsync();
        await using var service = await TestService.StartAsync(TestService.Config(_model.Url), _store);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, await StatusAsync(service, "/readyz"));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, await StatusAsync(service, "/v1/jobs"));
        await _server.StartAsync();
        await Eventually.TrueAsync(async () => await StatusAsync(service, "/readyz") == HttpStatusCode.OK);
        Assert.Equal("Succeeded", (string?)(await service.RunAsync(new { prompt = "birthday blessing for a friend, he is like a lion" }))["state"]);
    }

    private static async Task<HttpStatusCode> StatusAsync(TestService service, string path)
    {
        using var response = await service.Client.GetAsync(path);
        return response.StatusCode;
    }
}
