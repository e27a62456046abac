using System.Diagnostics;

namespace Moebius.EndToEnd;

/// <summary>Ctrl-C and SIGTERM end every command; of servers <see cref="LogFormatTests"/> says so.</summary>
[Trait("Category", "Component")]
public sealed class InterruptTests : IDisposable
{
    private readonly string _pipe = Path.Combine(Directory.CreateTempSubdirectory("moebius-interrupt-").FullName, "endless.txt");

    public void Dispose() => Directory.Delete(Path.GetDirectoryName(_pipe)!, recursive: true);

    [Theory]
    [InlineData(2)]
    [InlineData(15)]
    public async Task A_command_that_only_computes_ends_at_once(int signal)
    {
        await Process.Start("mkfifo", [_pipe]).WaitForExitAsync(TestContext.Current.CancellationToken);
        using var run = MoebiusProcess.Start("perplexity", "samples/models/austen-moe", "--text", _pipe);
        // The text never ends: opening a pipe waits for its reader, and then the command waits for this side.
        await using var text = await Task.Run(() => new FileStream(_pipe, FileMode.Open, FileAccess.Write), TestContext.Current.CancellationToken);
        run.Signal(signal);
        var (code, output, error) = await run.EndAsync(TimeSpan.FromMinutes(1));
        Assert.Equal((130, "", ""), (code, output, error));
    }
}
