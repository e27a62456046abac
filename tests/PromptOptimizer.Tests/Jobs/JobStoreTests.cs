using Moebius.PromptOptimizer.Jobs;
using Moebius.PromptOptimizer.Tests.Stores;

namespace Moebius.PromptOptimizer.Tests.Jobs;

/// <summary>The queue and its results, on each kind of store.</summary>
public abstract class JobStoreTests : IDisposable
{
    private protected abstract TestStore Store { get; }

    public void Dispose()
    {
        Store.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public void Jobs_are_claimed_once_in_order_and_recovered_after_a_death()
    {
        string first;
        using (var database = Store.Open())
        {
            var store = new JobStore(database, TimeProvider.System);
            first = store.Create(New("one")).Job!.Id;
            store.Create(New("two"));
            Assert.Equal("one", store.Get(store.Claim([])!)!.Prompt);
            Assert.Equal("two", store.Get(store.Claim([])!)!.Prompt);
            Assert.Null(store.Claim([]));
        }

        using (var database = Store.Open())
        {
            var store = new JobStore(database, TimeProvider.System);
            Store.LetLeasesPass();
            Assert.Equal(2, store.Recover([]));
            Assert.Equal(first, store.Claim([]));
        }
    }

    [Fact]
    public void A_job_that_kills_the_service_again_and_again_fails()
    {
        using var database = Store.Open();
        var store = new JobStore(database, TimeProvider.System);
        var id = store.Create(New("poison")).Job!.Id;
        for (var death = 1; death < JobStore.MaxDeaths; death++)
        {
            store.Claim([]);
            Assert.Equal(1, store.Recover([]));
        }

        store.Claim([]);
        Assert.Equal(0, store.Recover([]));
        Assert.Equal(FailureReason.WorkerDied, store.Get(id)!.Failure!.Reason);
    }

    [Fact]
    public void Only_jobs_without_a_worker_are_put_back()
    {
        using var database = Store.Open();
        var store = new JobStore(database, TimeProvider.System);
        var ids = Enumerable.Range(0, 3).Select(i => store.Create(New($"{i}")).Job!.Id).ToList();
        foreach (var _ in ids)
            store.Claim([]);
        store.RequestCancel(ids[2]);
        Assert.Equal(0, store.Recover(ids));
        Assert.Equal(1, store.Recover([ids[0]]));
        Assert.Equal([JobState.Running, JobState.Queued, JobState.Cancelled], ids.Select(id => store.Get(id)!.State));
    }

    [Fact]
    public void A_job_that_is_cancelled_while_it_is_put_back_does_not_wait_for_its_next_attempt()
    {
        using var database = Store.Open();
        var store = new JobStore(database, TimeProvider.System);
        var id = store.Create(New("one")).Job!.Id;
        store.Claim([]);
        store.RequestCancel(id);
        store.Requeue(id, DateTimeOffset.UtcNow.AddHours(1), failedAttempt: true);
        Assert.Equal(id, store.Claim([]));
    }

    [Fact]
    public void A_job_ends_once()
    {
        using var database = Store.Open();
        var store = new JobStore(database, TimeProvider.System);
        var id = store.Create(New("one")).Job!.Id;
        store.Claim([]);
        Assert.True(store.End(id, JobState.Failed, null, new(FailureReason.InternalError, "x")));
        Assert.False(store.End(id, JobState.Succeeded, new(1, EndReason.Accepted), null));
        Assert.Equal(JobState.Failed, store.Get(id)!.State);
    }

    [Fact]
    public void Ended_jobs_are_deleted_when_they_were_kept_long_enough_and_no_others()
    {
        using var database = Store.Open();
        var store = new JobStore(database, TimeProvider.System);
        var deleted = 0;
        store.Deleted += count => deleted += count;
        var ids = Enumerable.Range(0, 4).Select(i => store.Create(New($"{i}")).Job!.Id).ToList();
        store.RequestCancel(ids[0]);
        store.RequestCancel(ids[1]);
        Assert.Equal(ids[2], store.Claim([]));
        Store.Sql($"UPDATE prompt_jobs SET ended_at = ended_at - 3600000 WHERE id = '{ids[0]}'");
        Assert.Equal(1, store.DeleteEnded(DateTimeOffset.UtcNow.AddMinutes(-30)));
        Assert.Equal(0, store.DeleteEnded(DateTimeOffset.UtcNow.AddMinutes(-30)));
        Assert.Equal(1, deleted);
        Assert.Null(store.Get(ids[0]));
        Assert.All(ids.Skip(1), id => Assert.NotNull(store.Get(id)));
        Assert.Equal(3L, Store.Sql("SELECT COUNT(*) FROM prompt_turns"));
        Assert.Equal(0L, Store.Sql("SELECT COUNT(*) FROM prompt_events WHERE job NOT IN (SELECT seq FROM prompt_jobs)"));
    }

    [Fact]
    public void No_more_jobs_are_deleted_at_once_than_others_can_wait_for()
    {
        using var database = Store.Open();
        var store = new JobStore(database, TimeProvider.System);
        for (var number = 0; number < JobStore.MostDeleted + 5; number++)
            store.RequestCancel(store.Create(New("x")).Job!.Id);
        Assert.Equal(JobStore.MostDeleted, store.DeleteEnded(DateTimeOffset.UtcNow.AddMinutes(1)));
        Assert.Equal(5, store.DeleteEnded(DateTimeOffset.UtcNow.AddMinutes(1)));
    }

    [Fact]
    public async Task No_more_jobs_wait_than_may()
    {
        using var database = Store.Open();
        var store = new JobStore(database, TimeProvider.System, maxWaiting: 5);
        var full = 0;
        await Parallel.ForAsync(0, 20, (number, _) =>
        {
            try
            {
                store.Create(New("x", $"key-{number}"));
            }
            catch (QueueFullException error)
            {
                Assert.Equal(5, error.Waiting);
                Interlocked.Increment(ref full);
            }

            return ValueTask.CompletedTask;
        });
        Assert.Equal((15, 5), (full, store.Counts()[JobState.Queued]));
        // An earlier job under its key is no new one; one that is taken up makes room.
        Assert.False(store.Create(New("x", store.List(null, null, null, 1)[0].Job!.IdempotencyKey)).Created);
        store.Claim([]);
        Assert.True(store.Create(New("x")).Created);
    }

    [Fact]
    public async Task Many_writers_lose_nothing()
    {
        using var database = Store.Open();
        var store = new JobStore(database, TimeProvider.System);
        await Parallel.ForAsync(0, 40, (number, _) =>
        {
            // Every second request repeats the key of the one before.
            store.Create(New("x", $"key-{number / 2}"));
            return ValueTask.CompletedTask;
        });
        Assert.Equal(20, store.Counts()[JobState.Queued]);
        Assert.Equal(20, store.List(null, null, null, 100).Select(row => row.Id).Distinct().Count());
    }

    private protected static NewJob New(string prompt, string? key = null) => new(key, prompt, prompt, [], new(3, 1000, 1, TimeSpan.FromMinutes(10)));
}

/// <summary>In a file.</summary>
public sealed class SqliteJobStoreTests : JobStoreTests
{
    private protected override TestStore Store { get; } = new SqliteTestStore();
}

/// <summary>In PostgreSQL.</summary>
[Trait("Category", "Component")]
public sealed class PostgresJobStoreTests : JobStoreTests
{
    private protected override TestStore Store { get; } = new PostgresTestStore();
}
