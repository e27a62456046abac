using System.Diagnostics;
using Moebius.Cli.Local;
using Moebius.Crds;

namespace Moebius.Cli.Tests;

[Trait("Category", "Component")]
public sealed class LocalInstanceTests : IDisposable
{
    private readonly StateDirectory _state = StateDirectory.Of(Guid.NewGuid().ToString("N"));

    public LocalInstanceTests() => _state.Create();

    public void Dispose() => _state.Remove();

    [Fact]
    public async Task Another_process_that_got_the_supervisors_number_is_left_alone()
    {
        using var stranger = Process.Start("sleep", "600");
        try
        {
            var supervisor = ProcessIdentity.Find(stranger.Id)!.Value;
            _state.Write(_state.StatusFile, new LocalStatus(supervisor with { Started = supervisor.Started - 1 }, null, 0, []));
            Assert.Null(LocalInstance.Status(_state));
            Assert.True(await LocalInstance.StopAsync(_state, TestContext.Current.CancellationToken));
            Assert.False(_state.Exists);
            Assert.False(stranger.HasExited);
        }
        finally
        {
            stranger.Kill();
        }
    }

    [Fact]
    public void An_instance_that_another_process_starts_is_left_to_it()
    {
        using var other = Process.Start("sleep", "600");
        try
        {
            _state.Write(_state.StarterFile, new LocalInstance.Starter(ProcessIdentity.Find(other.Id)!.Value));
            var refused = Assert.Throws<UserInputException>(() => LocalInstance.Start(_state, new LocalPlan([], []), "mine"));
            Assert.Equal("instance 'mine' is being started by another 'moebius local up': wait for it, or choose another --name", refused.Message);
            Assert.True(File.Exists(_state.StarterFile));
        }
        finally
        {
            other.Kill();
        }
    }

    [Fact]
    public async Task An_instance_that_is_being_started_is_stopped_when_its_supervisor_is_there()
    {
        using var other = Process.Start("sleep", "600");
        using var late = Process.Start("sleep", "600");
        try
        {
            _state.Write(_state.StarterFile, new LocalInstance.Starter(ProcessIdentity.Find(other.Id)!.Value));
            var stopping = LocalInstance.StopAsync(_state, TestContext.Current.CancellationToken);
            Assert.True(_state.Exists);
            var supervisor = ProcessIdentity.Find(late.Id)!.Value;
            _state.Write(_state.StatusFile, new LocalStatus(supervisor, null, 0, []));
            Assert.True(await stopping.WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken));
            Assert.False(supervisor.IsAlive);
            Assert.False(_state.Exists);
        }
        finally
        {
            other.Kill();
            late.Kill();
        }
    }

    [Fact]
    public async Task A_supervisor_that_does_not_stop_is_killed_after_what_its_containers_may_take()
    {
        // Says that it has begun to ignore the signal, which the program that takes its place then does too.
        using var deaf = Process.Start(new ProcessStartInfo("sh", ["-c", "trap '' TERM; echo deaf; exec sleep 600"]) { RedirectStandardOutput = true })!;
        Assert.Equal("deaf", await deaf.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken));
        var supervisor = ProcessIdentity.Find(deaf.Id)!.Value;
        await Eventually.EndsAsync(LocalInstance.StopAsync(_state, supervisor, TimeSpan.FromMilliseconds(200), TestContext.Current.CancellationToken));
        Assert.False(supervisor.IsAlive);
        Assert.False(_state.Exists);
    }

    [Fact]
    public async Task A_container_that_cannot_be_followed_ends_the_instance_and_says_why()
    {
        // No folder for its log.
        Directory.Delete(_state.Logs);
        var container = new LocalContainer("lost", ["-?"], new Dictionary<string, string>(), new Dictionary<string, int>());
        var plan = new LocalPlan([new LocalPod("pod", [], [container])], []);
        var code = await new Supervisor(_state, plan).RunAsync(TestContext.Current.CancellationToken).WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken);
        Assert.Equal(1, code);
        var status = StateDirectory.Read<LocalStatus>(_state.StatusFile)!;
        Assert.Contains("pod/lost: ", status.Failure, StringComparison.Ordinal);
        Assert.Contains(_state.Logs, status.Failure, StringComparison.Ordinal);
    }
}
