using System.Diagnostics;

namespace Moebius.EndToEnd;

/// <summary>Ctrl-C and SIGTERM end every command.</summary>
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

    [Theory]
    [InlineData("cxl agent --state FOLDER")]
    [InlineData("prompt-optimizer serve --config FOLDER/optimizer.yaml --data FOLDER")]
    public async Task A_server_ends_in_order_and_logs_nothing_for_debugging(string line)
    {
        var cancel = TestContext.Current.CancellationToken;
        var folder = Path.GetDirectoryName(_pipe)!;
        await File.WriteAllTextAsync(Path.Combine(folder, "optimizer.yaml"), "languageModel: {url: 'http://127.0.0.1:9/v1', model: m}\n", cancel);
        var address = $"127.0.0.1:{MoebiusProcess.FreePort()}";
        using var run = MoebiusProcess.Start([.. line.Replace("FOLDER", folder, StringComparison.Ordinal).Split(' '), "--listen", address]);
        using var http = new HttpClient();
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        patience.CancelAfter(TimeSpan.FromMinutes(1));
        while (!await AnswersAsync())
            await Task.Delay(50, patience.Token);
        run.Signal(15);
        var (code, output, error) = await run.EndAsync(TimeSpan.FromMinutes(1));
        Assert.True(code == 0, output + error);
        Assert.DoesNotContain("dbug:", output, StringComparison.Ordinal);

        async Task<bool> AnswersAsync()
        {
            Assert.False(run.HasExited, "the server has ended");
            try
            {
                return (await http.GetAsync(new Uri($"http://{address}/healthz"), cancel)).IsSuccessStatusCode;
            }
            catch (HttpRequestException)
            {
                return false;
            }
        }
    }
}
