using System.Globalization;

namespace Moebius.Operator.Tests.Integration;

/// <summary>Profiles belong to no namespace, so these operators, which die, work in all: they have a cluster of their own.</summary>
[Trait("Category", "Cluster")]
public sealed class ProfileDeathTests(OperatorCluster cluster) : IClassFixture<OperatorCluster>
{
    [Fact]
    public async Task An_operator_killed_at_any_write_for_a_profile_leaves_what_the_next_one_completes()
    {
        foreach (var arrives in new[] { true, false })
        {
            var at = 1;
            while (await DieAsync($"{(arrives ? "after" : "before")}-{at.ToString(CultureInfo.InvariantCulture)}", at, arrives))
                at++;
            // A finalizer, three children and a status; the children's end and the finalizer's.
            Assert.InRange(at - 1, 7, 20);
        }
    }

    private async Task<bool> DieAsync(string name, int at, bool arrives)
    {
        var death = new DeathHandler(at, arrives);
        var running = cluster.StartOperator(configure: options => options with { ApiHandlers = () => [death] });
        var replaced = false;
        try
        {
            await cluster.ApplyAsync($"{{apiVersion: moebius.dev/v1alpha1, kind: MemorySchedulingProfile, metadata: {{name: {name}}}, spec: {{nodeSelector: {{{name}: 'yes'}}}}}}");
            await UntilAsync(IsMadeAsync);
            (await cluster.KubectlAsync("delete", "msp", name, "--wait=false")).EnsureSuccess();
            await UntilAsync(IsGoneAsync);
        }
        finally
        {
            await running.DisposeAsync();
        }

        return death.Dead.IsCompleted;

        // Or until the operator is dead, and another one has done it.
        async Task UntilAsync(Func<Task<bool>> done)
        {
            await Eventually.TrueAsync(async () => (death.Dead.IsCompleted && !replaced) || await done());
            if (!death.Dead.IsCompleted || replaced)
                return;
            await running.DisposeAsync();
            running = cluster.StartOperator();
            replaced = true;
            await Eventually.TrueAsync(done);
        }

        async Task<bool> IsMadeAsync() =>
            await cluster.GetAsync("default", $"msp/{name}", ".metadata.finalizers[*]} {.status.observedGeneration") == "moebius.dev/restore-nodes 1"
            && await IsThereAsync($"daemonset/moebius-agent-{name}") && await IsThereAsync($"configmap/moebius-agent-{name}-config") && await IsThereAsync($"serviceaccount/moebius-agent-{name}");

        async Task<bool> IsThereAsync(string child) => await cluster.GetAsync("moebius-system", child, ".metadata.name") != "";

        async Task<bool> IsGoneAsync() =>
            await cluster.GetAsync("default", $"msp/{name}", ".metadata.name") == ""
            && !await IsThereAsync($"daemonset/moebius-agent-{name}");
    }
}
