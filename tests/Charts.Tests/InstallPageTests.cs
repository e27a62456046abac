using System.Text.RegularExpressions;

namespace Moebius.Charts.Tests;

/// <summary>Commands of the pages do not lose what the reader has set up before.</summary>
public sealed partial class InstallPageTests
{
    /// <summary>With <c>--set</c>, Helm takes every value that is not named from the chart again, not from the installation.</summary>
    [Fact]
    public void An_upgrade_that_sets_a_value_keeps_the_others()
    {
        var pages = Directory.EnumerateFiles(RepositoryFiles.At("docs"), "*.md", SearchOption.AllDirectories).Append(RepositoryFiles.At("README.md"));
        var upgrades = pages.SelectMany(page => Upgrade().Matches(File.ReadAllText(page)).Select(match => match.Value)).ToList();

        Assert.NotEmpty(upgrades);
        Assert.All(upgrades.Where(one => one.Contains(" --set", StringComparison.Ordinal)), one =>
            Assert.True(one.Contains(" --reset-then-reuse-values", StringComparison.Ordinal) || one.Contains(" -f ", StringComparison.Ordinal), one));
    }

    [GeneratedRegex(@"helm upgrade (?:[^\n`\\]|\\\n)*")]
    private static partial Regex Upgrade();
}
