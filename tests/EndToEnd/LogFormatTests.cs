using System.Text.Json.Nodes;

namespace Moebius.EndToEnd;

/// <summary>Every program that serves ends in order when it is told to, and writes its log for machines when it is asked to.</summary>
[Trait("Category", "Component")]
public sealed class LogFormatTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("moebius-log-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("serve --model samples/models/austen-moe")]
    [InlineData("kvcache serve --socket FOLDER/s --arena FOLDER --arena-size 16Mi")]
    [InlineData("cxl agent --state FOLDER")]
    [InlineData("prompt-optimizer serve --config FOLDER/optimizer.yaml --data FOLDER")]
    public async Task Lines_are_objects_with_a_time_a_level_and_a_message(string line)
    {
        var cancel = TestContext.Current.CancellationToken;
        await File.WriteAllTextAsync(Path.Combine(_folder, "optimizer.yaml"), "languageModel: {url: 'http://127.0.0.1:9/v1', model: m}\n", cancel);
        var address = $"127.0.0.1:{MoebiusProcess.FreePort()}";
        using var run = MoebiusProcess.Start([.. line.Replace("FOLDER", _folder, StringComparison.Ordinal).Split(' '), "--listen", address, "--log-format", "json"]);
        using var http = new HttpClient();
        await Eventually.TrueAsync(AnswersAsync);
        run.Signal(15);
        var (code, output, error) = await run.EndAsync(TimeSpan.FromMinutes(1));
        Assert.True(code == 0, output + error);
        var lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.NotEmpty(lines);
        Assert.All(lines, text =>
        {
            var entry = JsonNode.Parse(text)!.AsObject();
            Assert.Matches(@"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", entry["Timestamp"]!.GetValue<string>());
            Assert.Contains(entry["LogLevel"]!.GetValue<string>(), (string[])["Information", "Warning", "Error", "Critical"]);
            Assert.NotEmpty(entry["Message"]!.GetValue<string>());
        });

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
