using Moebius.KvCache.Tests.Index;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>A tenant that asks for as many copies as it can leaves some to others.</summary>
public sealed class CrowdedCopiesTests
{
    private const int Crowd = 1;
    private const int Other = 2;
    private const int Many = 4096;

    [Fact]
    public async Task Another_tenants_prompt_is_still_written_to_the_disk()
    {
        await using var harness = new CopyHarness();
        harness.Index.Cache(Other, "ab");
        var crowding = harness.Job(Crowd, "nothing of this is cached");
        for (var number = 0; number < Many; number++)
            harness.Writer.Add(crowding);
        await harness.WriteAsync(harness.Job(Other, "ab"));
        Assert.False(harness.IsDiskEmpty);
    }

    [Fact]
    public async Task Another_tenants_prompt_is_still_brought_back()
    {
        var here = Environment.CurrentManagedThreadId;
        using var going = new ManualResetEventSlim();
        await using var harness = new CopyHarness(_ =>
        {
            if (Environment.CurrentManagedThreadId != here)
                going.Wait();
        });
        try
        {
            harness.Store(Other, "ab", 2);
            for (var letter = 'a'; letter < 'a' + 200; letter++)
            {
                harness.Store(Crowd, $"{letter}", 1);
                harness.Stager.Begin(harness.Job(Crowd, $"{letter}"), harness.Index.Root.Keys(IndexHarness.Tokens($"{letter}")), 0, endsPublic: true);
            }

            Assert.NotNull(harness.Stager.Begin(harness.Job(Other, "ab"), harness.Index.Root.Keys(IndexHarness.Tokens("ab")), 0, endsPublic: true));
        }
        finally
        {
            going.Set();
            await Eventually.TrueAsync(() => harness.Stager.Running == 0);
        }
    }
}
