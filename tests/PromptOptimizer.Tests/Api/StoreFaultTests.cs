using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Microsoft.Data.Sqlite;
using Moebius.PromptOptimizer.Jobs;

namespace Moebius.PromptOptimizer.Tests.Api;

/// <summary>A store that takes nothing for a while, and what is told of jobs that end elsewhere than in a worker.</summary>
public sealed class StoreFaultTests : ScriptedServiceTests
{
    [Fact]
    public async Task A_client_is_told_that_the_store_takes_nothing_and_to_come_back()
    {
        await using var service = await StartAsync();
        Sql("CREATE TRIGGER refuse BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'no'); END");
        using var response = await service.Client.PostAsJsonAsync("/v1/jobs", new { prompt = Lion });
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(HttpStatusCode.ServiceUnavailable == response.StatusCode, text);
        Assert.Equal("--data: the store does not answer (constraint failed): if its disk is full, make room; then ask again", (string?)JsonNode.Parse(text)!["detail"]);
        Assert.NotNull(response.Headers.RetryAfter);
    }

    /// <summary>Each attempt pays for its calls: a store that takes small rows but no round must not be tried at once, again and again.</summary>
    [Fact]
    public async Task A_job_whose_round_the_store_does_not_take_waits_before_it_pays_for_another()
    {
        await using var service = await StartAsync();
        Sql("CREATE TRIGGER refuse BEFORE INSERT ON rounds BEGIN SELECT RAISE(ABORT, 'no'); END");
        var id = (string)(await service.CreateAsync(new { prompt = Lion }))["id"]!;
        await Eventually.TrueAsync(() => Sql("SELECT not_before FROM jobs WHERE state = 'Queued'") is long);
        Sql("DROP TRIGGER refuse");
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
        Sql($"UPDATE jobs SET dialects = 'none' WHERE id = '{bad}'");
        var dead = (string)(await service.CreateAsync(new { prompt = Lion }))["id"]!;
        Sql($"UPDATE jobs SET state = 'Running', deaths = {JobStore.MaxDeaths - 1} WHERE id = '{dead}'");
        release.SetResult();
        await service.EndAsync(busy);
        await Eventually.TrueAsync(() => Sql($"SELECT state FROM jobs WHERE id = '{bad}'") is "Failed");
        await Eventually.TrueAsync(() => Sql($"SELECT state FROM jobs WHERE id = '{dead}'") is "Failed");
        var metrics = await service.Client.GetStringAsync("/metrics");
        foreach (var (state, reason) in new[] { ("Succeeded", "Accepted"), ("Cancelled", "Cancelled"), ("Failed", "InternalError"), ("Failed", "WorkerDied") })
            Assert.Contains($"moebius_prompt_jobs_ended_total{{state=\"{state}\",reason=\"{reason}\"}} 1", metrics, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_purged_while_somebody_reads_leaves_the_files_after_that()
    {
        await using var service = await StartAsync();
        var id = (string)(await service.RunAsync(new { prompt = "a very secret lion" }))["id"]!;
        using (var reader = new SqliteConnection($"Data Source={Path.Combine(Folder.Path, "jobs.sqlite")};Pooling=False"))
        {
            reader.Open();
            using var transaction = reader.BeginTransaction(deferred: true);
            using var command = reader.CreateCommand();
            command.CommandText = "SELECT COUNT(*) FROM jobs";
            Assert.Equal(1L, command.ExecuteScalar());
            using var purged = await service.Client.DeleteAsync($"/v1/jobs/{id}?purge=true");
            Assert.Equal(HttpStatusCode.NoContent, purged.StatusCode);
            Assert.True(Stored());
        }

        await Eventually.TrueAsync(() => !Stored());

        bool Stored() => Directory.GetFiles(Folder.Path, "jobs.sqlite*").Any(file =>
        {
            using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using var text = new StreamReader(stream, System.Text.Encoding.Latin1);
            return text.ReadToEnd().Contains("secret", StringComparison.Ordinal);
        });
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
