using System.Net;
using System.Text.Json.Nodes;
using Moebius.PromptOptimizer.Jobs;

namespace Moebius.PromptOptimizer.Tests.Api;

/// <summary>Jobs whose worker fails or is stopped, or that the store and the workers disagree about.</summary>
public class JobFaultTests : ScriptedServiceTests
{
    [Fact]
    public async Task An_internal_error_ends_its_job_although_the_store_refuses_that_at_first()
    {
        var reached = new TaskCompletionSource();
        var release = new TaskCompletionSource();
        Model.Override = async (call, cancel) =>
        {
            reached.TrySetResult();
            await release.Task.WaitAsync(cancel);
            return null;
        };
        await using var service = await StartAsync();
        var id = (string)(await service.CreateAsync(new { prompt = Lion }))["id"]!;
        await reached.Task;
        // A row that cannot be read, and a store that takes no end.
        Store.Refuse("UPDATE", "prompt_jobs", "NEW.state = 'Failed'");
        Sql("UPDATE prompt_jobs SET dialects = 'none'");
        release.SetResult();
        // The next look at the job fails, and so does its end.
        await Eventually.TrueAsync(() => Sql("SELECT intent FROM prompt_jobs") is string);
        Assert.Equal("Running", Sql("SELECT state FROM prompt_jobs"));
        Store.Take("prompt_jobs");
        await Eventually.TrueAsync(() => Sql($"SELECT state FROM prompt_jobs WHERE id = '{id}'") is "Failed");
        Assert.Contains("jobs.dialects", (string)Sql("SELECT failure FROM prompt_jobs")!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_job_that_runs_without_a_worker_resumes()
    {
        var release = HoldModel();
        await using var service = await StartAsync("workers: 1");
        var busy = (string)(await service.CreateAsync(new { prompt = Lion }))["id"]!;
        await TestService.WaitAsync(service.Client, busy, job => (string)job["state"]! == "Running");
        var lost = (string)(await service.CreateAsync(new { prompt = "a lost lion" }))["id"]!;
        Sql($"UPDATE prompt_jobs SET state = 'Running' WHERE id = '{lost}'");
        release.SetResult();
        Assert.Equal("Succeeded", (string?)(await service.EndAsync(busy))["state"]);
        Assert.Equal("Succeeded", (string?)(await service.EndAsync(lost))["state"]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_job_that_cannot_be_read_fails_and_the_service_goes_on(bool late)
    {
        var release = HoldModel();
        await using var service = await StartAsync("workers: 1");
        var busy = (string)(await service.CreateAsync(new { prompt = Lion }))["id"]!;
        await TestService.WaitAsync(service.Client, busy, job => (string)job["state"]! == "Running");
        var bad = (string)(await service.CreateAsync(new { prompt = Lion }))["id"]!;
        Sql($"UPDATE prompt_jobs SET dialects = 'none' WHERE id = '{bad}'");
        // One is taken up when a worker is free, the other one's time ends before.
        if (late)
            Sql($"UPDATE prompt_turns SET deadline_at = 0 WHERE job = (SELECT seq FROM prompt_jobs WHERE id = '{bad}')");
        else
            release.SetResult();
        // A new one makes the service look at those that wait.
        var next = (string)(await service.CreateAsync(new { prompt = Lion }))["id"]!;
        await Eventually.TrueAsync(() => Sql($"SELECT state FROM prompt_jobs WHERE id = '{bad}'") is "Failed");
        Assert.Contains("jobs.dialects", (string)Sql($"SELECT failure FROM prompt_jobs WHERE id = '{bad}'")!, StringComparison.Ordinal);
        Assert.Equal(late ? 1L : 0L, Sql($"SELECT COUNT(*) FROM prompt_jobs WHERE id = '{bad}' AND started_at IS NULL"));
        release.TrySetResult();
        Assert.Equal("Succeeded", (string?)(await service.EndAsync(busy))["state"]);
        Assert.Equal("Succeeded", (string?)(await service.EndAsync(next))["state"]);
    }

    [Theory]
    [InlineData("UPDATE prompt_jobs SET dialects = '[\"Oil\"]'", "jobs.dialects")]
    [InlineData("UPDATE prompt_jobs SET limits = 'null'", "jobs.limits")]
    [InlineData("UPDATE prompt_jobs SET state = 'Archived'", "jobs.state")]
    [InlineData("UPDATE prompt_jobs SET created_at = 9223372036854775807", "jobs.created_at")]
    [InlineData("UPDATE prompt_jobs SET outcome = '{\"round\":9,\"reason\":\"Accepted\"}'", "jobs.outcome")]
    [InlineData("UPDATE prompt_rounds SET body = '{\"number\":1,\"secret\":\"lion\"}'", "rounds.body")]
    [InlineData("UPDATE prompt_rounds SET body = '{\"number\":1}'", "rounds.body")]
    [InlineData("DELETE FROM prompt_turns", "turns")]
    public async Task A_job_that_cannot_be_read_hides_no_other_and_can_be_removed(string damage, string place)
    {
        await using var service = await StartAsync();
        var bad = (string)(await service.RunAsync(new { prompt = Lion, idempotencyKey = "bad" }))["id"]!;
        Sql(damage);
        var good = (string)(await service.RunAsync(new { prompt = "a second lion" }))["id"]!;

        var items = JsonNode.Parse(await service.Client.GetStringAsync("/v1/jobs"))!["items"]!.AsArray();
        Assert.Equal([good, bad], items.Select(item => (string)item!["id"]!));
        Assert.Equal("Succeeded", (string?)items[0]!["state"]);
        Says((string)items[1]!["problem"]!);
        var found = JsonNode.Parse(await service.Client.GetStringAsync("/v1/jobs?idempotencyKey=bad"))!["items"]!;
        Assert.Equal(bad, (string?)Assert.Single(found.AsArray())!["id"]);

        using (var answer = await service.Client.GetAsync($"/v1/jobs/{bad}"))
        {
            Assert.Equal(HttpStatusCode.InternalServerError, answer.StatusCode);
            Says((string)JsonNode.Parse(await answer.Content.ReadAsStringAsync())!["detail"]!);
        }

        Assert.Contains("moebius_prompt_jobs{state=\"Succeeded\"}", await service.Client.GetStringAsync("/metrics"), StringComparison.Ordinal);
        using (var purged = await service.Client.DeleteAsync($"/v1/jobs/{bad}?purge=true"))
            Assert.Equal(HttpStatusCode.NoContent, purged.StatusCode);
        Assert.Single(JsonNode.Parse(await service.Client.GetStringAsync("/v1/jobs"))!["items"]!.AsArray());

        void Says(string problem)
        {
            Assert.Contains($"job '{bad}' cannot be read: {place} in the store", problem, StringComparison.Ordinal);
            Assert.DoesNotContain("lion", problem, StringComparison.Ordinal);
            Assert.DoesNotContain("Oil", problem, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_job_that_comes_back_while_its_worker_still_ends_waits_for_it()
    {
        await using var service = await StartAsync("workers: 2");
        var answered = false;
        service.Store.Changed += id =>
        {
            // On the worker's thread: a client answers before the worker is gone.
            if (answered || service.Store.Get(id) is not { State: JobState.Succeeded })
                return;
            answered = true;
            Assert.True(service.Store.AddFeedback(id, "at sunset please")?.Taken);
            SpinWait.SpinUntil(() => service.Store.Get(id)!.State == JobState.Running, TimeSpan.FromSeconds(1));
        };
        var id = (string)(await service.CreateAsync(new { prompt = Lion }))["id"]!;
        var job = await TestService.WaitAsync(service.Client, id, job => (string?)job["state"] == "Succeeded" && job["feedback"]!.AsArray().Count == 1);
        Assert.Equal(1, Model.Count("feedback-tuning"));
        Assert.Equal("feedback-tuning", (string?)job["rounds"]!.AsArray()[^1]!["agent"]);
        // And the service goes on.
        Assert.Equal("Succeeded", (string?)(await service.RunAsync(new { prompt = Lion }))["state"]);
    }

    [Fact]
    public async Task A_stop_puts_jobs_back_and_the_next_start_finishes_them()
    {
        var reached = new TaskCompletionSource();
        Model.Override = async (call, cancel) =>
        {
            if (call is not { Agent: "scene-and-style", Number: 2 })
                return null;
            reached.TrySetResult();
            await Task.Delay(Timeout.Infinite, cancel);
            return null;
        };
        string id;
        await using (var first = await StartAsync())
        {
            id = (string)(await first.CreateAsync(new { prompt = Lion }))["id"]!;
            await reached.Task;
            await first.StopAsync();
        }

        await using var second = await StartAsync();
        var job = await second.EndAsync(id);
        Assert.Equal("Succeeded", (string?)job["state"]);
        Assert.Equal(1, Model.Count("intent-inference"));
        Assert.Equal(3, Model.Count("scene-and-style"));
    }
}
