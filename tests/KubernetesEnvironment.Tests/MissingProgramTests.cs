namespace Moebius.KubernetesEnvironment.Tests;

/// <summary>A fixture that could not be prepared, because a program is missing.</summary>
[Trait("Category", "Cluster")]
public sealed class MissingProgramTests
{
    [Fact]
    public async Task Fixture_without_its_programs_throws_in_the_test_what_xunit_takes_for_skipped()
    {
        await using var fixture = new Unprepared();

        await fixture.InitializeAsync();

        // Assert.Throws lets this exception through, because it means "skipped".
        try
        {
            _ = fixture.Configuration;
            Assert.Fail("a fixture without its programs gave a configuration");
        }
        catch (KubernetesAssetsMissingException missing)
        {
            Assert.StartsWith("$XunitDynamicSkip$", missing.Message, StringComparison.Ordinal);
        }
    }

    private sealed class Unprepared : KubernetesTestServer
    {
        protected override Task PrepareAsync() => throw new KubernetesAssetsMissingException("'helm' is missing");
    }
}
