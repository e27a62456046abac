using Microsoft.Extensions.Time.Testing;
using Moebius.KvCache.Tests.Index;
using Moebius.KvCache.Tiers;

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
    public async Task Another_tenants_prompt_waits_for_its_turn_only()
    {
        var time = new FakeTimeProvider();
        var left = 0;
        // Asked for a block that is written only, and there is none of the others'.
        await using var harness = new CopyHarness(copies => left = copies.Writer.Waiting, time: time);
        harness.Index.Cache(Other, "a");
        var crowding = harness.Job(Crowd, "nothing of this is cached");
        for (var number = 0; number < Many; number++)
            harness.Writer.Add(crowding);
        var before = harness.Writer.Waiting;
        harness.Writer.Add(harness.Job(Other, "a"));
        await Eventually.TrueAsync(() =>
        {
            time.Advance(TierWriter.Settle);
            return harness.Writer.Waiting == 0;
        });
        Assert.InRange(before - left, 0, 1);
    }

    [Fact]
    public async Task Long_prompts_that_wait_are_bounded_in_bytes()
    {
        // Nothing's time comes.
        await using var harness = new CopyHarness(time: new FakeTimeProvider());
        var crowding = harness.Job(Crowd, new string('x', 1 << 17));
        for (var number = 0; number < TierWriter.MaxWaiting; number++)
            harness.Writer.Add(crowding);
        var alone = harness.Writer.Waiting;
        Assert.InRange(alone * crowding.Bytes, TierWriter.MaxWaitingBytes / 4, (TierWriter.MaxWaitingBytes / 2) + crowding.Bytes);
        harness.Writer.Add(harness.Job(Other, new string('x', 1 << 17)));
        Assert.Equal(alone + 1, harness.Writer.Waiting);
    }

    [Fact]
    public async Task What_has_been_copied_makes_room_for_as_much()
    {
        var time = new FakeTimeProvider();
        await using var harness = new CopyHarness(time: time);
        var crowding = harness.Job(Crowd, new string('x', 1 << 17));
        for (var round = 0; round < 3; round++)
        {
            for (var number = 0; number < 20; number++)
                harness.Writer.Add(crowding);
            Assert.InRange(harness.Writer.Waiting, 15, 16);
            await Eventually.TrueAsync(() =>
            {
                time.Advance(TierWriter.Settle);
                return harness.Writer.Waiting == 0;
            });
        }
    }

    [Theory]
    [InlineData(typeof(OutOfMemoryException))]
    [InlineData(typeof(TaskCanceledException))]
    [InlineData(typeof(InvalidOperationException))]
    public async Task After_a_copy_that_failed_the_next_one_is_made(Type failure)
    {
        var fails = true;
        await using var harness = new CopyHarness(_ =>
        {
            if (fails)
                throw (Exception)Activator.CreateInstance(failure)!;
        });
        harness.Index.Cache(Other, "ab");
        await harness.WriteAsync(harness.Job(Other, "ab"));
        Assert.True(harness.IsDiskEmpty);
        fails = false;
        await harness.WriteAsync(harness.Job(Other, "ab"));
        Assert.False(harness.IsDiskEmpty);
    }

    [Fact]
    public async Task Another_tenants_blocks_are_brought_back_in_their_turn()
    {
        // More than are at work at a time.
        const int Before = 60;
        var here = Environment.CurrentManagedThreadId;
        var number = new AsyncLocal<int>();
        using var begun = new ManualResetEventSlim();
        using var ending = new ManualResetEventSlim();
        await using var harness = new CopyHarness(_ =>
        {
            if (Environment.CurrentManagedThreadId != here)
                (number.Value < 2 ? begun : number.Value < Before ? ending : null)?.Wait();
        });
        try
        {
            for (; number.Value < Before; number.Value++)
            {
                var text = $"{(char)('a' + number.Value)}";
                harness.Store(Crowd, text, 1);
                Assert.NotNull(Begin(Crowd, text));
            }

            harness.Store(Other, "ab", 2);
            var other = Begin(Other, "ab");
            Assert.NotNull(other);
            // Two end: the one makes room for another of the crowd, the other for what is not of the crowd.
            begun.Set();
            await Eventually.EndsAsync(other.Done);
        }
        finally
        {
            begun.Set();
            ending.Set();
            await Eventually.TrueAsync(() => harness.Stager.Running == 0);
        }

        Staging? Begin(int tenant, string text) =>
            harness.Stager.Begin(harness.Job(tenant, text), harness.Index.Root.Keys(IndexHarness.Tokens(text)), 0, endsPublic: true);
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
