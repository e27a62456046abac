namespace Moebius.Charts.Tests;

public sealed class LintTests
{
    [Theory]
    [InlineData("charts/moebius", "1.35.0")]
    [InlineData("charts/moebius", "1.29.0")]
    [InlineData("charts/moebius-crds", "1.35.0")]
    public async Task Chart_passes_helm_lint(string chart, string kubernetes) =>
        (await Tool.HelmAsync("lint", "--strict", "--kube-version", kubernetes, RepositoryFiles.At(chart))).EnsureSuccess();

    [Fact]
    public async Task Notes_name_what_was_installed_and_what_is_missing()
    {
        var notes = (await Tool.HelmAsync("install", "moebius", RepositoryFiles.At("charts/moebius"), "-n", "moebius-system", "--dry-run=client", "--set", "nodeAgents.podSecurity=baseline")).EnsureSuccess().StandardOutput;

        Assert.Contains("moebius-system/moebius-operator", notes, StringComparison.Ordinal);
        Assert.Contains("THE CUSTOM RESOURCES ARE MISSING", notes, StringComparison.Ordinal);
        Assert.Contains("nodeAgents.podSecurity is baseline: the API server will refuse node agents", notes, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("metrics.serviceMonitor.enabled=true", "without a scrape of your own the groups moebius.nodes and moebius.prompts have nothing to watch", "MoebiusOperatorHasNoLeader")]
    [InlineData("metrics.serviceMonitor.enabled=true,watchNamespace=shop", "without a scrape of your own the group moebius.prompts has nothing to watch", "moebius.nodes")]
    [InlineData("metrics.podMonitor.enabled=true", "the group moebius.operator has nothing to watch, and MoebiusOperatorHasNoLeader fires", "moebius.prompts")]
    [InlineData("metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true", "", "nothing to watch")]
    public async Task Notes_name_the_rules_that_have_nothing_to_watch(string values, string said, string unsaid)
    {
        var notes = (await Tool.HelmAsync("install", "moebius", RepositoryFiles.At("charts/moebius"), "-n", "moebius-system", "--dry-run=client", "--set", $"prometheusRule.enabled=true,{values}")).EnsureSuccess().StandardOutput;
        notes = notes[notes.IndexOf("NOTES:", StringComparison.Ordinal)..];

        Assert.Contains(said, notes, StringComparison.Ordinal);
        Assert.DoesNotContain(unsaid, notes, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("webhook.enabled=true", "the rights that the operator needs are printed by `moebius operator rbac`, those of the node agents by `moebius operator node-agents`, those of the webhook by `moebius operator webhook`.")]
    [InlineData("webhook.enabled=false", "the rights that the operator needs are printed by `moebius operator rbac`, those of the node agents by `moebius operator node-agents`.")]
    [InlineData("webhook.enabled=false,watchNamespace=moebius-system", "the rights that the operator needs are printed by `moebius operator rbac`.")]
    public async Task Notes_say_where_the_rights_come_from_that_a_release_does_not_make(string values, string expected)
    {
        var notes = (await Tool.HelmAsync("install", "moebius", RepositoryFiles.At("charts/moebius"), "-n", "moebius-system", "--dry-run=client", "--set", $"rbac.create=false,{values}")).EnsureSuccess().StandardOutput;

        Assert.Contains($"rbac.create is false: {expected}", notes, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Notes_of_one_namespace_say_that_profiles_have_no_effect()
    {
        var notes = (await Tool.HelmAsync("install", "moebius", RepositoryFiles.At("charts/moebius"), "-n", "shop", "--dry-run=client", "--set", "watchNamespace=shop")).EnsureSuccess().StandardOutput;

        Assert.Contains("It works in the namespace shop only, and runs no node agents", notes, StringComparison.Ordinal);
    }
}
