using System.Collections;
using System.Globalization;
using Moebius.Cli.Local;

namespace Moebius.Cli.Tests;

[Trait("Category", "Component")]
public sealed class ContainerProcessTests : IDisposable
{
    private readonly string _logs = Directory.CreateTempSubdirectory("moebius-container-").FullName;

    public void Dispose() => Directory.Delete(_logs, recursive: true);

    [Fact]
    public async Task A_process_that_starts_while_everything_is_told_to_stop_is_stopped_too()
    {
        using var stop = new CancellationTokenSource();
        using var http = new HttpClient();
        ContainerProcess? process = null;
        // The last thing that is looked at before a process starts: there is nothing to stop yet.
        var environment = new Looked(() =>
        {
            stop.Cancel();
            process!.StopAsync(TimeSpan.FromMinutes(1)).GetAwaiter().GetResult();
        });
        var container = new LocalContainer("endless", ["-c", "exec sleep 600"], environment, new Dictionary<string, int>());
        process = new ContainerProcess("pod", container, new ProgramPath("/bin/sh", []), _logs, http, () => { });
        await Eventually.EndsAsync(Task.Run(() => process.RunAsync(stop.Token), TestContext.Current.CancellationToken));
        Assert.Equal(ContainerState.Stopped, process.State);
    }

    [Fact]
    public async Task A_process_has_ended_although_something_that_it_started_holds_its_output()
    {
        using var http = new HttpClient();
        var container = new LocalContainer("parent", ["-c", "sleep 600 & echo $! >&2; exit 2"], new Dictionary<string, string>(), new Dictionary<string, int>());
        var process = new ContainerProcess("pod", container, new ProgramPath("/bin/sh", []), _logs, http, () => { });
        try
        {
            await process.RunAsync(TestContext.Current.CancellationToken).WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
            Assert.Equal((ContainerState.Failed, 2), (process.State, process.ExitCode));
        }
        finally
        {
            Native.Kill(int.Parse(process.Message!, CultureInfo.InvariantCulture));
        }
    }

    /// <summary>An empty environment that tells when it is read.</summary>
    private sealed class Looked(Action read) : IReadOnlyDictionary<string, string>
    {
        public int Count => 0;

        public IEnumerable<string> Keys => [];

        public IEnumerable<string> Values => [];

        public string this[string key] => throw new KeyNotFoundException(key);

        public bool ContainsKey(string key) => false;

        public bool TryGetValue(string key, out string value)
        {
            value = "";
            return false;
        }

        public IEnumerator<KeyValuePair<string, string>> GetEnumerator()
        {
            read();
            yield break;
        }

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
