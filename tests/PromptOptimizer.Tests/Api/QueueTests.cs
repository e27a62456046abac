using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Moebius.PromptOptimizer.Tests.Stores;

namespace Moebius.PromptOptimizer.Tests.Api;

/// <summary>How many jobs may wait, and how long ended ones are kept.</summary>
public class QueueTests : ScriptedServiceTests
{
    [Fact]
    public async Task A_full_queue_says_so_with_the_number_and_when_to_come_back()
    {
        await using var service = await StartAsync("workers: 1\njobs: { maxWaiting: 2 }");
        var done = (string)(await service.RunAsync(new { prompt = Lion }))["id"]!;
        var release = HoldModel();
        var busy = (string)(await service.CreateAsync(new { prompt = Lion }))["id"]!;
        await TestService.WaitAsync(service.Client, busy, job => (string)job["state"]! == "Running");
        await service.CreateAsync(new { prompt = Lion, idempotencyKey = "k" });
        await service.CreateAsync(new { prompt = Lion });

        await FullAsync("/v1/jobs", new { prompt = Lion });
        await FullAsync($"/v1/jobs/{done}/feedback", new { feedback = "darker" });
        // What is there already is found.
        await service.PostAsync("/v1/jobs", new { prompt = Lion, idempotencyKey = "k" }, HttpStatusCode.OK);
        Assert.Contains("moebius_prompt_jobs_refused_total 2", await service.Client.GetStringAsync("/metrics"), StringComparison.Ordinal);
        release.SetResult();
        await service.EndAsync(busy);
        await Eventually.TrueAsync(async () =>
        {
            using var response = await service.Client.PostAsJsonAsync("/v1/jobs", new { prompt = Lion });
            return response.StatusCode == HttpStatusCode.Created;
        });

        async Task FullAsync(string path, object body)
        {
            using var response = await service.Client.PostAsJsonAsync(path, body);
            Assert.Equal(HttpStatusCode.TooManyRequests, response.StatusCode);
            Assert.Equal("jobs.maxWaiting: 2 jobs wait, the most that may: ask again when some are done", (string?)JsonNode.Parse(await response.Content.ReadAsStringAsync())!["detail"]);
            Assert.NotNull(response.Headers.RetryAfter);
        }
    }

    [Fact]
    public async Task What_was_kept_long_enough_is_deleted_and_counted()
    {
        string old, young;
        await using (var before = await StartAsync())
        {
            old = (string)(await before.RunAsync(new { prompt = Lion }))["id"]!;
            young = (string)(await before.RunAsync(new { prompt = Lion }))["id"]!;
        }

        Sql($"UPDATE prompt_jobs SET ended_at = ended_at - 7200000 WHERE id = '{old}'");
        await using var service = await StartAsync("jobs: { retention: 1h }");
        await Eventually.TrueAsync(async () =>
        {
            using var gone = await service.Client.GetAsync($"/v1/jobs/{old}");
            return gone.StatusCode == HttpStatusCode.NotFound;
        });
        Assert.Equal("Succeeded", (string?)(await service.GetAsync(young))["state"]);
        Assert.Contains("moebius_prompt_jobs_deleted_total 1", await service.Client.GetStringAsync("/metrics"), StringComparison.Ordinal);
    }
}

/// <summary>The same in PostgreSQL.</summary>
public sealed class PostgresQueueTests : QueueTests
{
    private protected override TestStore CreateStore() => new PostgresTestStore();
}
