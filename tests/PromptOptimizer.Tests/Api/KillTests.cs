using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Moebius.Crds.Config;
using Moebius.PromptOptimizer.Tests.Stores;

namespace Moebius.PromptOptimizer.Tests.Api;

/// <summary>The service as a process of its own, killed without warning.</summary>
[Trait("Category", "Component")]
public abstract class KillTests : IAsyncLifetime
{
    private readonly TemporaryFolder _folder = new();
    private TestStore _store = null!;
    private readonly List<Process> _processes = [];
    private ScriptedEndpoint _model = null!;

    public async ValueTask InitializeAsync()
    {
        _store = CreateStore();
        _model = await ScriptedEndpoint.StartAsync();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var process in _processes)
        {
            if (!process.HasExited)
            {
                process.Kill();
                await process.WaitForExitAsync();
            }

            process.Dispose();
        }

        // Skipped before there was one.
        if (_model is not null)
            await _model.DisposeAsync();
        _store?.Dispose();
        _folder.Dispose();
        GC.SuppressFinalize(this);
    }

    private protected abstract TestStore CreateStore();

    [Fact]
    public async Task A_killed_worker_loses_no_finished_round_and_the_job_resumes()
    {
        var reached = new TaskCompletionSource();
        var hold = true;
        _model.Override = async (call, cancel) =>
        {
            if (hold && call is { Agent: "scene-and-style", Number: 2 })
            {
                reached.TrySetResult();
                await Task.Delay(Timeout.Infinite, cancel);
            }

            return null;
        };
        var (first, client) = await StartAsync();
        using var created = await client.PostAsJsonAsync("/v1/jobs", new { prompt = "birthday blessing for a friend, he is like a lion" });
        var id = (string)JsonNode.Parse(await created.Content.ReadAsStringAsync())!["id"]!;
        await Eventually.EndsAsync(reached.Task);
        var before = await TestService.WaitAsync(client, id, job => job["rounds"]!.AsArray().Count == 1);
        first.Kill(); // SIGKILL
        await first.WaitForExitAsync();
        client.Dispose();
        hold = false;

        (_, client) = await StartAsync();
        using (client)
        {
            var job = await TestService.WaitAsync(client, id, job => (string)job["state"]! is "Succeeded" or "Failed");
            Assert.Equal("Succeeded", (string?)job["state"]);
            Assert.Equal(2, job["rounds"]!.AsArray().Count);
            // The first round is the very one from before: same draft, same scores, same times.
            foreach (var field in new[] { "draft", "scores", "startedAt", "finishedAt", "usage" })
                Assert.Equal(before["rounds"]![0]![field]!.ToJsonString(), job["rounds"]![0]![field]!.ToJsonString());
            Assert.Equal(1, _model.Count("intent-inference"));
            // Only the call in the air when the process died was made again.
            Assert.Equal(3, _model.Count("scene-and-style"));
            Assert.Equal(2, _model.Count("self-evaluation"));
        }
    }

    [Fact]
    public async Task Sigterm_ends_the_process_cleanly_with_a_job_and_a_listener_in_hand()
    {
        var reached = new TaskCompletionSource();
        _model.Override = async (_, cancel) =>
        {
            reached.TrySetResult();
            await Task.Delay(Timeout.Infinite, cancel);
            return null;
        };
        var (process, client) = await StartAsync();
        using (client)
        {
            using var created = await client.PostAsJsonAsync("/v1/jobs", new { prompt = "a lion" });
            var id = (string)JsonNode.Parse(await created.Content.ReadAsStringAsync())!["id"]!;
            await Eventually.EndsAsync(reached.Task);
            using var listening = await client.GetAsync($"/v1/jobs/{id}/events", HttpCompletionOption.ResponseHeadersRead);
            using var stream = new StreamReader(await listening.Content.ReadAsStreamAsync());
            string? line;
            do
                Assert.NotNull(line = await stream.ReadLineAsync());
            while (line != "event: step");
            using (var kill = Process.Start("kill", ["-TERM", process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]))
                await kill.WaitForExitAsync();
            await Eventually.EndsAsync(process.WaitForExitAsync());
            Assert.Equal(0, process.ExitCode);
            // The stream was ended, not broken.
            Assert.DoesNotContain("event: ended", await stream.ReadToEndAsync(), StringComparison.Ordinal);
        }
    }

    private protected async Task<(Process Process, HttpClient Client)> StartAsync()
    {
        const string Listening = "Now listening on: ";
        var process = Launch();
        var address = new TaskCompletionSource<Uri>(TaskCreationOptions.RunContinuationsAsynchronously);
        process.OutputDataReceived += (_, line) =>
        {
            if (line.Data is null)
                address.TrySetException(new InvalidOperationException("the service ended before it listened"));
            else if (line.Data.IndexOf(Listening, StringComparison.Ordinal) is >= 0 and var at)
                address.TrySetResult(new Uri(line.Data[(at + Listening.Length)..]));
        };
        process.BeginOutputReadLine();
        var client = new HttpClient { BaseAddress = await address.Task.WaitAsync(TimeSpan.FromSeconds(60)) };
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (true)
        {
            Assert.False(process.HasExited, "the service ended before it was ready");
            try
            {
                using var ready = await client.GetAsync("/readyz", limit.Token);
                if (ready.StatusCode == HttpStatusCode.OK)
                    return (process, client);
            }
            catch (HttpRequestException)
            {
                // Not listening yet.
            }

            await Task.Delay(50, limit.Token);
        }
    }

    private protected Process Launch()
    {
        var config = Path.Combine(_folder.Path, "config.yaml");
        File.WriteAllText(config, TestService.Config(_model.Url, _store.Config));
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true, RedirectStandardError = true };
        // Started through `dotnet x.dll`, the process is dotnet and needs the assembly again.
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
            start.ArgumentList.Add(typeof(Program).Assembly.Location);
        string[] data = _store.Folder is { } folder ? ["--data", Path.Combine(folder, "data")] : [];
        foreach (var argument in (string[])["prompt-optimizer", "serve", "--config", config, .. data, "--listen", "127.0.0.1:0"])
            start.ArgumentList.Add(argument);
        start.Environment[Program.ServeVariable] = "1";
        if (_store.Variable(ContainerVariables.StoreConnection) is { } connection)
            start.Environment[ContainerVariables.StoreConnection] = connection;
        var process = Process.Start(start)!;
        _processes.Add(process);
        return process;
    }
}

/// <summary>Its jobs in a file.</summary>
public sealed class SqliteKillTests : KillTests
{
    [Fact]
    public async Task A_second_process_on_the_same_folder_is_refused()
    {
        var (_, client) = await StartAsync();
        client.Dispose();
        var second = Launch();
        var error = await second.StandardError.ReadToEndAsync();
        await second.WaitForExitAsync();
        Assert.Equal(2, second.ExitCode);
        Assert.Contains("--data: '", error, StringComparison.Ordinal);
        Assert.Single(error.TrimEnd().Split('\n'));
    }

    private protected override TestStore CreateStore() => new SqliteTestStore();
}

/// <summary>Its jobs in PostgreSQL: what the dead process held comes free when its lease ends.</summary>
public sealed class PostgresKillTests : KillTests
{
    private protected override TestStore CreateStore() => new PostgresTestStore();
}
