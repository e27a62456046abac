using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Moebius.PromptOptimizer.Jobs;

namespace Moebius.PromptOptimizer.Tests.Api;

/// <summary>A store that takes nothing for a while, and what is told of jobs that end elsewhere than in a worker.</summary>
public class StoreFaultTests : ScriptedServiceTests
{
    [Fact]
    public async Task A_client_is_told_that_the_store_takes_nothing_and_to_come_back()
    {
        await using var service = await StartAsync();
        Store.Refuse("INSERT", "prompt_jobs");
        using var response = await service.Client.PostAsJsonAsync("/v1/jobs", new { prompt = Lion });
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(HttpStatusCode.ServiceUnavailable == response.StatusCode, text);
        Assert.Equal(Store.Refusal, (string?)JsonNode.Parse(text)!["detail"]);
        Assert.NotNull(response.Headers.RetryAfter);
    }

    /// <summary>Each attempt pays for its calls: a store that takes small rows but no round must not be tried at once, again and again.</summary>
    [Fact]
    public async Task A_job_whose_round_the_store_does_not_take_waits_before_it_pays_for_another()
    {
        await using var service = await StartAsync();
        Store.Refuse("INSERT", "prompt_rounds");
        var id = (string)(await service.CreateAsync(new { prompt = Lion }))["id"]!;
        await Eventually.TrueAsync(() => Sql("SELECT not_before FROM prompt_jobs WHERE state = 'Queued'") is long);
        Store.Take("prompt_rounds");
        Assert.Equal("Succeeded", (string?)(await service.EndAsync(id))["state"]);
    }

    [Fact]
    public async Task Jobs_that_end_without_a_worker_are_counted()
    {
        var release = HoldModel();
        await using var service = await StartAsync("workers: 1");
        var busy = (string)(await service.CreateAsync(new { prompt = Lion }))["id"]!;
        await TestService.WaitAsync(service.Client, busy, job => (string)job["state"]! == "Running");
        var queued = (string)(await service.CreateAsync(new { prompt = Lion }))["id"]!;
        using (var cancelled = await service.Client.DeleteAsync($"/v1/jobs/{queued}"))
            Assert.Equal(HttpStatusCode.OK, cancelled.StatusCode);
        var bad = (string)(await service.CreateAsync(new { prompt = Lion }))["id"]!;
        Sql($"UPDATE prompt_jobs SET dialects = 'none' WHERE id = '{bad}'");
        var dead = (string)(await service.CreateAsync(new { prompt = Lion }))["id"]!;
        Sql($"UPDATE prompt_jobs SET state = 'Running', deaths = {JobStore.MaxDeaths - 1} WHERE id = '{dead}'");
        release.SetResult();
        await service.EndAsync(busy);
        await Eventually.TrueAsync(() => Sql($"SELECT state FROM prompt_jobs WHERE id = '{bad}'") is "Failed");
        await Eventually.TrueAsync(() => Sql($"SELECT state FROM prompt_jobs WHERE id = '{dead}'") is "Failed");
        var metrics = await service.Client.GetStringAsync("/metrics");
        foreach (var (state, reason) in new[] { ("Succeeded", "Accepted"), ("Cancelled", "Cancelled"), ("Failed", "InternalError"), ("Failed", "WorkerDied") })
            Assert.Contains($"moebius_prompt_jobs_ended_total{{state=\"{state}\",reason=\"{reason}\"}} 1", metrics, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Feedback_that_comes_second_is_told_that_the_job_is_at_work()
    {
        var release = new TaskCompletionSource();
        await using var service = await StartAsync();
        var id = (string)(await service.RunAsync(new { prompt = Lion }))["id"]!;
        Model.Override = async (_, cancel) =>
        {
            await release.Task.WaitAsync(cancel);
            return null;
        };
        // One of them finds the job ended, and another's feedback there when it writes its own.
        var answers = await Task.WhenAll(Enumerable.Range(0, 24).Select(async number =>
        {
            using var response = await service.Client.PostAsJsonAsync($"/v1/jobs/{id}/feedback", new { feedback = $"darker {number}" });
            return (response.StatusCode, Detail: (string?)JsonNode.Parse(await response.Content.ReadAsStringAsync())!["detail"]);
        }));
        Assert.Single(answers, answer => answer.StatusCode == HttpStatusCode.Accepted);
        Assert.All(answers.Where(answer => answer.StatusCode != HttpStatusCode.Accepted), answer => Assert.Contains("wait until it has ended", answer.Detail, StringComparison.Ordinal));
        release.SetResult();
        await service.EndAsync(id);
    }
}
