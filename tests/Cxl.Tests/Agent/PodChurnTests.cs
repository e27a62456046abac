using System.Diagnostics;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Crds.Config;
using Moebius.Cxl.Agent;
using Moebius.Cxl.Telemetry;

namespace Moebius.Cxl.Tests.Agent;

/// <summary>Cgroups as pods leave them, in the real kernel.</summary>
[Trait("Category", "Component")]
public sealed class PodChurnTests
{
    private const int Batches = 10;
    private const int Batch = 100;

    [Fact]
    public async Task A_thousand_pods_come_and_go_without_a_trace()
    {
        var hierarchy = CgroupHierarchy.Find(null, "/sys");
        Assert.SkipUnless(hierarchy is not null, "no cgroup hierarchy is mounted");
        using var agent = new NodeAgent(new AgentOptions { Config = new NodeAgentConfig { Profile = "p" }, TopCgroups = 1_000_000 }, new AgentMetrics(), NullLogger<NodeAgent>.Instance);
        Assert.SkipUnless(agent.Status.Observer.Loaded, $"the observer is not loaded: {agent.Status.Observer.Message}");
        var name = $"moebius-test-{Guid.NewGuid():N}";
        var root = Directory.CreateDirectory(Path.Combine(hierarchy.Root, name)).FullName;
        try
        {
            var seen = 0;
            for (var batch = 0; batch < Batches; batch++)
            {
                string[] pods = [.. Enumerable.Range(0, Batch).Select(_ => Path.Combine(root, $"pod{Guid.NewGuid()}"))];
                // A process in each, which is gone before the next interval.
                var commands = string.Join('\n', pods.Select(pod => $"mkdir {pod}; (echo 0 > {pod}/cgroup.procs; :)"));
                using (var shell = Process.Start(new ProcessStartInfo("/bin/sh") { RedirectStandardInput = true })!)
                {
                    shell.StandardInput.Write(commands);
                    shell.StandardInput.Close();
                    shell.WaitForExit();
                }

                await UntilAsync(agent, () => Mine(agent) >= Batch);
                seen += Mine(agent);
                foreach (var pod in pods)
                    Remove(pod);
                // Late counts of dead tasks may bring a removed cgroup back for one interval.
                await UntilAsync(agent, () => Mine(agent) == 0 && agent.ObservedCgroups <= hierarchy.Scan().Count + 20);
            }

            Assert.True(seen >= Batches * Batch, $"{seen} were counted");
            Assert.Equal(0, Mine(agent));
            Assert.Equal(0UL, agent.Status.Observer.Losses.Cgroups);
            // Other tests' cgroups come and go meanwhile.
            Assert.InRange(agent.ObservedCgroups, 1, hierarchy.Scan().Count + 20);
        }
        finally
        {
            Remove(root);
        }

        int Mine(NodeAgent agent) => agent.Status.Cgroups.Count(cgroup => cgroup.Path.StartsWith($"/{name}/", StringComparison.Ordinal));
    }

    private static Task UntilAsync(NodeAgent agent, Func<bool> holds, [CallerArgumentExpression(nameof(holds))] string what = "") => Eventually.TrueAsync(
        () =>
        {
            agent.Tick();
            return holds();
        },
        what);

    private static void Remove(string directory)
    {
        for (var i = 0; Directory.Exists(directory); i++)
        {
            try
            {
                Directory.Delete(directory);
            }
            catch (IOException) when (i < 200)
            {
                Thread.Sleep(10); // a dead process may still be leaving
            }
        }
    }
}
