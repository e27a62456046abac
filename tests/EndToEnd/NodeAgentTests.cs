using System.Diagnostics;

namespace Moebius.EndToEnd;

/// <summary>The node agent as a process, on a sysfs of its own.</summary>
[Trait("Category", "Component")]
public sealed class NodeAgentTests : IDisposable
{
    private const string Weights = "kernel/mm/mempolicy/weighted_interleave";
    private readonly string _folder = Directory.CreateTempSubdirectory("moebius-agent-").FullName;
    private readonly string _config;

    public NodeAgentTests()
    {
        // Two nodes, one without processors, and weights that somebody has set.
        Write("devices/system/node/online", "0-1");
        foreach (var (node, cpus) in new[] { (0, "0-1"), (1, "") })
        {
            Write($"devices/system/node/node{node}/cpulist", cpus);
            Write($"devices/system/node/node{node}/distance", node == 0 ? "10 20" : "20 10");
            Write($"devices/system/node/node{node}/meminfo", $"Node {node} MemTotal:       1048576 kB");
            Write($"{Weights}/node{node}", $"{node + 5}");
        }

        _config = Path.Combine(_folder, "agent.yaml");
        File.WriteAllText(_config, "profile: p\npolicy: {interleaveWeights: [{node: 0, weight: 3}, {node: 1, weight: 1}]}\n");
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Weights_are_put_back_after_a_kill()
    {
        using (var agent = MoebiusProcess.Start([.. Arguments("agent", "--config", _config, "--listen", "127.0.0.1:0")]))
        {
            await UntilAsync(() => (Weight(0), Weight(1)) == ("3", "1"), agent);
            agent.Kill();
        }

        // Nobody has put them back yet; the next agent, whatever its profile, does.
        Assert.Equal(("3", "1"), (Weight(0), Weight(1)));
        File.WriteAllText(_config, "profile: p\npolicy: {strategy: Observe}\ntelemetry: {interval: 100ms}\n");
        // A report changes nothing.
        var (code, output, error) = await MoebiusProcess.RunAsync([.. Arguments("agent", "--config", _config, "--once")]);
        Assert.True(code == 0, output + error);
        Assert.Equal(("3", "1"), (Weight(0), Weight(1)));
        using var next = MoebiusProcess.Start([.. Arguments("agent", "--config", _config, "--listen", "127.0.0.1:0")]);
        await UntilAsync(() => (Weight(0), Weight(1)) == ("5", "6"), next);
        next.Kill();
    }

    [Fact]
    public async Task Weights_are_put_back_by_hand_but_not_under_an_agent()
    {
        using (var agent = MoebiusProcess.Start([.. Arguments("agent", "--config", _config, "--listen", "127.0.0.1:0")]))
        {
            await UntilAsync(() => (Weight(0), Weight(1)) == ("3", "1"), agent);
            var refused = await MoebiusProcess.RunAsync([.. Arguments("restore")]);
            Assert.Equal(2, refused.Code);
            Assert.Contains("a node agent is running", refused.Error, StringComparison.Ordinal);
            agent.Kill();
        }

        var (code, output, error) = await MoebiusProcess.RunAsync([.. Arguments("restore")]);
        Assert.True(code == 0, output + error);
        Assert.Equal("put back: node0=5, node1=6\n", output);
        Assert.Equal(("5", "6"), (Weight(0), Weight(1)));
    }

    [Theory]
    [InlineData("-all", "CapabilityMissing: the process lacks CAP_BPF, CAP_PERFMON")]
    [InlineData("-all,+bpf,+sys_nice", "CapabilityMissing: the process lacks CAP_PERFMON")]
    [InlineData("-all,+bpf,+perfmon,+sys_nice", "observer   Loaded")]
    public async Task Three_capabilities_suffice_and_with_fewer_the_agent_says_so_and_runs(string capabilities, string says)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/setpriv"), "setpriv (util-linux) is missing");
        Assert.SkipUnless(File.Exists("/sys/kernel/btf/vmlinux"), "the kernel has no BTF: that would be the first reason");
        File.WriteAllText(_config, "profile: p\ntelemetry: {interval: 100ms}\n");
        var start = new ProcessStartInfo("/usr/bin/setpriv", ["--inh-caps=-all", $"--bounding-set={capabilities}", MoebiusProcess.Program, "cxl", "agent", "--config", _config, "--once", "--state", Path.Combine(_folder, "state")]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, output + await error);
        Assert.SkipWhen(output.Contains("BPFObjectMissing", StringComparison.Ordinal), "this build has no eBPF programs");
        Assert.SkipWhen(output.Contains("LibbpfMissing", StringComparison.Ordinal), "libbpf1 is not installed");
        Assert.Contains(says, output, StringComparison.Ordinal);
    }

    private IEnumerable<string> Arguments(string verb, params string[] more) => ["cxl", verb, "--sysfs", _folder, "--state", Path.Combine(_folder, "state"), .. more];

    private string Weight(int node) => File.ReadAllText(Path.Combine(_folder, Weights, $"node{node}")).Trim();

    private void Write(string path, string text)
    {
        path = Path.Combine(_folder, path);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text + "\n");
    }

    private static Task UntilAsync(Func<bool> holds, MoebiusProcess agent) => Eventually.TrueAsync(() =>
    {
        Assert.False(agent.HasExited, "the agent has ended");
        return holds();
    });
}
