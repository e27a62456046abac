namespace Moebius.Charts.Tests.Cluster;

/// <summary>The commands of docs/install.md work as they stand there.</summary>
[Collection(ClusterTests.Name)]
[Trait("Category", "Cluster")]
public sealed class InstallPageTests(ChartCluster cluster) : IAsyncLifetime
{
    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync() => await cluster.ClearAsync();

    [Fact]
    public async Task Commands_install_upgrade_roll_back_and_uninstall()
    {
        // Nothing runs pods here, so neither a rollout nor a test ends; nothing removes namespaces. KubectlTests apply the base.
        var commands = Commands().Where(command => !command.Contains("rollout status", StringComparison.Ordinal) && !command.StartsWith("helm test", StringComparison.Ordinal)
            && !command.Contains("config/default", StringComparison.Ordinal) && !command.Contains("delete namespace", StringComparison.Ordinal)).ToList();

        Assert.True(commands.Count >= 9, $"only {commands.Count} commands were found");
        foreach (var command in commands)
        {
            var words = command.Split(' ').Select(word => word.StartsWith("charts/", StringComparison.Ordinal) ? RepositoryFiles.At(word) : word).ToList();
            var result = words[0] switch
            {
                "helm" when words[1] is "install" or "upgrade" => await cluster.HelmAsync([.. words.Skip(1), .. cluster.HelmLenient]),
                "helm" => await cluster.HelmAsync([.. words.Skip(1)]),
                "kubectl" => await cluster.KubectlAsync([.. words.Skip(1)]),
                _ => throw new InvalidOperationException($"docs/install.md: '{command}' is neither helm nor kubectl"),
            };
            result.EnsureSuccess();
        }

        Assert.Null(await cluster.GetAsync("deployment", "moebius-operator", ChartCluster.OperatorNamespace));
        Assert.Null(await cluster.GetAsync("crd", "moedeployments.moebius.dev"));
    }

    private static IEnumerable<string> Commands()
    {
        var inside = false;
        foreach (var line in File.ReadLines(RepositoryFiles.At("docs/install.md")))
        {
            if (line.StartsWith("```", StringComparison.Ordinal))
                inside = line == "```sh";
            else if (inside)
                yield return line;
        }
    }
}
