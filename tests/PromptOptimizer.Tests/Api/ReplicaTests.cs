using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Moebius.PromptOptimizer.Tests.Stores;

namespace Moebius.PromptOptimizer.Tests.Api;

/// <summary>Several services on one database, as the replicas of a PromptOptimizer.</summary>
public sealed class ReplicaTests : ScriptedServiceTests
{
    private protected override TestStore CreateStore() => new PostgresTestStore();

    [Fact]
    public async Task Each_job_is_worked_on_by_one()
    {
        await using var one = await StartAsync("workers: 3");
        await using var other = await StartAsync("workers: 3");
        // Handed in at one; the other helps.
        var jobs = await Task.WhenAll(Enumerable.Range(0, 12).Select(number => one.CreateAsync(new { prompt = $"{Lion} {number}" })));
        foreach (var job in jobs)
            Assert.Equal("Succeeded", (string?)(await other.EndAsync((string)job["id"]!))["state"]);
        Assert.Equal(12, Model.Count("intent-inference"));
        Assert.Equal(24, Model.Count("scene-and-style"));
        Assert.Equal(12L, Sql("SELECT COUNT(*) FROM prompt_events WHERE type = 'running'"));
    }

    [Fact]
    public async Task A_client_of_one_hears_and_cancels_what_the_other_works_on()
    {
        var release = HoldModel();
        await using var busy = await StartAsync("workers: 1");
        var id = (string)(await busy.CreateAsync(new { prompt = Lion }))["id"]!;
        await TestService.WaitAsync(busy.Client, id, job => (string)job["state"]! == "Running");
        await using var other = await StartAsync("workers: 1");
        using var listening = await other.Client.GetAsync($"/v1/jobs/{id}/events", HttpCompletionOption.ResponseHeadersRead);
        using var stream = new StreamReader(await listening.Content.ReadAsStreamAsync());
        var all = stream.ReadToEndAsync();
        using (var cancelled = await other.Client.DeleteAsync($"/v1/jobs/{id}"))
            Assert.Equal(HttpStatusCode.Accepted, cancelled.StatusCode);
        // The call is broken off where it is made, and the stream ends where it is read.
        Assert.Equal("Cancelled", (string?)(await busy.EndAsync(id))["state"]);
        await Eventually.EndsAsync(all);
        Assert.Equal(["queued", "running", "step", "ended"], (await all).Split('\n').Where(line => line.StartsWith("event: ", StringComparison.Ordinal)).Select(line => line[7..]));
        release.TrySetResult();
    }

    [Fact]
    public async Task A_key_makes_one_job_wherever_it_is_asked_for()
    {
        HoldModel();
        await using var one = await StartAsync();
        await using var other = await StartAsync();
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(async number =>
        {
            using var response = await (number % 2 == 0 ? one : other).Client.PostAsJsonAsync("/v1/jobs", new { prompt = Lion, idempotencyKey = "k" });
            return (response.StatusCode, Id: (string?)JsonNode.Parse(await response.Content.ReadAsStringAsync())!["id"]);
        }));
        Assert.Single(answers.Select(answer => answer.Id).Distinct());
        Assert.Single(answers, answer => answer.StatusCode == HttpStatusCode.Created);
        Assert.All(answers.Where(answer => answer.StatusCode != HttpStatusCode.Created), answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
    }

    [Fact]
    public async Task Feedback_is_taken_once_wherever_it_comes()
    {
        await using var one = await StartAsync();
        await using var other = await StartAsync();
        var id = (string)(await one.RunAsync(new { prompt = Lion }))["id"]!;
        var release = HoldModel();
        var answers = await Task.WhenAll(Enumerable.Range(0, 12).Select(async number =>
        {
            using var response = await (number % 2 == 0 ? one : other).Client.PostAsJsonAsync($"/v1/jobs/{id}/feedback", new { feedback = $"darker {number}" });
            return response.StatusCode;
        }));
        Assert.Single(answers, answer => answer == HttpStatusCode.Accepted);
        Assert.Equal(11, answers.Count(answer => answer == HttpStatusCode.Conflict));
        release.SetResult();
        await other.EndAsync(id);
    }

    [Fact]
    public async Task A_service_whose_connections_are_cut_loses_no_job_and_pays_no_round_twice()
    {
        await using var service = await StartAsync();
        var cut = 0;
        Model.Override = (_, _) =>
        {
            // In the middle of every step: the connections of its pool are dead afterwards.
            Sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
            cut++;
            return Task.FromResult<ScriptedReply?>(null);
        };
        var id = (string)(await service.CreateAsync(new { prompt = Lion }))["id"]!;
        await Eventually.TrueAsync(async () =>
        {
            using var answer = await service.Client.GetAsync($"/v1/jobs/{id}");
            // Whoever asks in that moment is told to ask again.
            if (answer.StatusCode == HttpStatusCode.ServiceUnavailable)
                return false;
            return (string)JsonNode.Parse(await answer.Content.ReadAsStringAsync())!["state"]! is not ("Queued" or "Running");
        });
        var job = await service.GetAsync(id);
        Assert.Equal("Succeeded", (string?)job["state"]);
        Assert.Equal(5, cut);
        Assert.Equal(2, job["rounds"]!.AsArray().Count);
    }
}
