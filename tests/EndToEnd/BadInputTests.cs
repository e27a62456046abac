using System.Diagnostics;

namespace Moebius.EndToEnd;

/// <summary>What a user gets wrong is one line, which names it, and exit code 2.</summary>
[Trait("Category", "Component")]
public sealed class BadInputTests
{
    // An address for documentation (RFC 5737), which no machine has.
    private const string Foreign = "192.0.2.1:9";

    [Theory]
    [InlineData("serve --model samples/models/austen-moe --listen " + Foreign, "--listen: cannot listen on 192.0.2.1:9: ")]
    [InlineData("prompt-optimizer serve --config FOLDER/optimizer.yaml --data FOLDER --listen " + Foreign, "--listen: 192.0.2.1:9 cannot be used: ")]
    [InlineData("kvcache serve --socket FOLDER/s --arena FOLDER --arena-size 16Mi --listen " + Foreign, "--socket, --listen: cannot listen on ")]
    [InlineData("cxl agent --state FOLDER --listen " + Foreign, "--listen: cannot listen on 192.0.2.1:9: ")]
    [InlineData("kvcache serve --socket FOLDER/s --arena FOLDER --config FOLDER/cache.yaml", "FOLDER/cache.yaml: kvCache.shared.timeout: '5ms' must be 10ms to 24h")]
    [InlineData("operator run --namespace A", "--namespace: 'A' cannot be the name of a namespace: ")]
    [InlineData("operator run --webhook-service a/b", "--webhook-service: has no effect without a webhook: ")]
    [InlineData("operator rbac --operator-namespace a.b", "--operator-namespace: 'a.b' cannot be the name of a namespace: ")]
    [InlineData("operator run --identity \t", "--identity: is empty: ")]
    [InlineData("operator run --image \t", "--image: is empty: ")]
    [InlineData("local up -f samples/quickstart.yaml --dry-run=client --detach", "--detach: has no effect with --dry-run=client: ")]
    [InlineData("local up -f samples/quickstart.yaml --dry-run=client --host-path /a=/b", "--host-path: has no effect with --dry-run=client: ")]
    [InlineData("local up -f samples/quickstart.yaml --dry-run=client --name other", "--name: has no effect with --dry-run=client: ")]
    [InlineData("local up -f samples/quickstart.yaml -o yaml", "--output: has no effect without --dry-run=client: ")]
    [InlineData("model fetch --to FOLDER/m --hugging-face a/b --sha256 00", "--sha256: goes with --http only: leave it out")]
    [InlineData("model fetch --to FOLDER/m --http http://127.0.0.1:9/m.tar --sha256 00 --endpoint http://127.0.0.1:9", "--endpoint: goes with --s3 or --hugging-face only: leave it out")]
    [InlineData("model fetch --to FOLDER/m --hugging-face a/b --quantize int8", "--quantize: goes with --pack or --report only: leave it out")]
    [InlineData("serve --model samples/models/austen-moe --config ", "--config: is empty: give a value, or leave it out")]
    [InlineData("cxl topology -o xml", "--output xml: must be text or json")]
    [InlineData("cxl agent --state FOLDER --once --log-format json", "--log-format: has no effect with --once: leave it out")]
    [InlineData("serve --model samples/models/austen-moe --log-format xml", "--log-format: 'xml' is not known: write text or json")]
    [InlineData("kvcache serve --socket FOLDER/s --arena FOLDER --arena-size 16Mi --log-format JSON", "--log-format: 'JSON' is not known: write text or json")]
    [InlineData("prompt-optimizer serve --config FOLDER/optimizer.yaml --data FOLDER --log-format xml", "--log-format: 'xml' is not known: write text or json")]
    [InlineData("operator run --log-format xml", "--log-format: 'xml' is not known: write text or json")]
    [InlineData("operator check --timeout 30", "--timeout: '30' is not a duration: ")]
    public async Task A_mistake_is_one_line(string line, string message)
    {
        var folder = Directory.CreateTempSubdirectory("moebius-input-").FullName;
        try
        {
            await File.WriteAllTextAsync(Path.Combine(folder, "optimizer.yaml"), "languageModel: {url: 'http://127.0.0.1:9/v1', model: m}\n", TestContext.Current.CancellationToken);
            await File.WriteAllTextAsync(Path.Combine(folder, "cache.yaml"), "kvCache: {memory: 16Mi, shared: {address: '127.0.0.1:9', timeout: 5ms}}\n", TestContext.Current.CancellationToken);
            var (code, _, error) = await MoebiusProcess.RunAsync(line.Replace("FOLDER", folder, StringComparison.Ordinal).Split(' '));
            Assert.StartsWith($"moebius: {message.Replace("FOLDER", folder, StringComparison.Ordinal)}", error, StringComparison.Ordinal);
            Assert.Equal(1, error.Count(letter => letter == '\n'));
            Assert.Equal(2, code);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_file_that_meets_the_shells_limit_is_one_line_and_leaves_nothing()
    {
        var folder = Directory.CreateTempSubdirectory("moebius-limit-").FullName;
        try
        {
            // The runtime maps its own code from a file, which such a limit would hit first.
            var start = new ProcessStartInfo("sh", ["-c", "ulimit -f 8000; DOTNET_EnableWriteXorExecute=0 exec \"$0\" pack samples/models/austen-moe --out \"$1\"", MoebiusProcess.Program, folder])
            {
                RedirectStandardError = true,
                WorkingDirectory = RepositoryFiles.Root,
            };
            using var run = Process.Start(start)!;
            var error = await run.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            await run.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.Equal("moebius: a file would be larger than its file system or this shell (ulimit -f) allows\n", error);
            Assert.Equal(1, run.ExitCode);
            Assert.Empty(Directory.EnumerateFileSystemEntries(folder));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Without this the client would ask http://localhost:8080, whoever listens there.</summary>
    [Theory]
    [InlineData("", "--kubeconfig: which cluster? This is not a pod, KUBECONFIG is not set and /nowhere/.kube/config is not there: name a file")]
    [InlineData("/nowhere/config", "--kubeconfig: KUBECONFIG (/nowhere/config) cannot be used: ")]
    public async Task A_cluster_that_nothing_names_is_asked_for(string kubeconfig, string message)
    {
        using var run = MoebiusProcess.Start(new Dictionary<string, string> { ["HOME"] = "/nowhere", ["KUBECONFIG"] = kubeconfig }, "operator", "check", "--timeout", "0s");
        var (code, _, error) = await run.EndAsync(Eventually.Limit);
        Assert.StartsWith($"moebius: {message}", error, StringComparison.Ordinal);
        Assert.Equal((2, 1), (code, error.Count(letter => letter == '\n')));
    }

    [Fact]
    public async Task A_cluster_that_does_not_answer_is_one_line()
    {
        var file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(
                file,
                "{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], clusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}], users: [{name: a, user: {token: x}}]}",
                TestContext.Current.CancellationToken);
            var (code, _, error) = await MoebiusProcess.RunAsync("operator", "check", "--kubeconfig", file, "--timeout", "0s");
            Assert.StartsWith("moebius: Connection refused (127.0.0.1:9)", error, StringComparison.Ordinal);
            Assert.Equal((1, 1), (code, error.Count(letter => letter == '\n')));
        }
        finally
        {
            File.Delete(file);
        }
    }
}
