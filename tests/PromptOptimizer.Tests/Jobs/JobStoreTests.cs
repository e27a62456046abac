using Microsoft.Data.Sqlite;
using Moebius.Crds;
using Moebius.PromptOptimizer.Jobs;

namespace Moebius.PromptOptimizer.Tests.Jobs;

public sealed class JobStoreTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Jobs_are_claimed_once_in_order_and_recovered_after_a_death()
    {
        string first;
        using (var database = new Database(_folder.Path))
        {
            var store = new JobStore(database, TimeProvider.System);
            first = store.Create(New("one")).Job!.Id;
            store.Create(New("two"));
            Assert.Equal("one", store.Get(store.Claim([])!)!.Prompt);
            Assert.Equal("two", store.Get(store.Claim([])!)!.Prompt);
            Assert.Null(store.Claim([]));
        }

        using (var database = new Database(_folder.Path))
        {
            var store = new JobStore(database, TimeProvider.System);
            Assert.Equal(2, store.Recover([]));
            Assert.Equal(first, store.Claim([]));
        }
    }

    [Fact]
    public void A_folder_that_it_makes_is_for_its_owner_alone()
    {
        var folder = Path.Combine(_folder.Path, "made");
        using var database = new Database(folder);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(folder));
    }

    [Fact]
    public void A_job_that_kills_the_service_again_and_again_fails()
    {
        using var database = new Database(_folder.Path);
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
        using var database = new Database(_folder.Path);
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
        using var database = new Database(_folder.Path);
        var store = new JobStore(database, TimeProvider.System);
        var id = store.Create(New("one")).Job!.Id;
        store.Claim([]);
        store.RequestCancel(id);
        store.Requeue(id, DateTimeOffset.UtcNow.AddHours(1), failedAttempt: true);
        Assert.Equal(id, store.Claim([]));
    }

    [Fact]
    public void What_is_purged_is_in_no_file()
    {
        using var database = new Database(_folder.Path);
        var store = new JobStore(database, TimeProvider.System);
        var id = store.Create(New("a very secret lion")).Job!.Id;
        store.Create(New("a public lion"));
        store.RequestCancel(id);
        Assert.True(Stored("secret"));
        Assert.True(store.Purge(id));
        Assert.False(store.Purge(id));
        Assert.False(Stored("secret"));
        Assert.True(Stored("public"));

        bool Stored(string text) => Directory.GetFiles(_folder.Path, "jobs.sqlite*").Any(file => Read(file).Contains(text, StringComparison.Ordinal));

        static string Read(string file)
        {
            using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using var reader = new StreamReader(stream, System.Text.Encoding.Latin1);
            return reader.ReadToEnd();
        }
    }

    [Fact]
    public void A_job_ends_once()
    {
        using var database = new Database(_folder.Path);
        var store = new JobStore(database, TimeProvider.System);
        var id = store.Create(New("one")).Job!.Id;
        store.Claim([]);
        Assert.True(store.End(id, JobState.Failed, null, new(FailureReason.InternalError, "x")));
        Assert.False(store.End(id, JobState.Succeeded, new(1, EndReason.Accepted), null));
        Assert.Equal(JobState.Failed, store.Get(id)!.State);
    }

    [Fact]
    public async Task Many_writers_lose_nothing()
    {
        using var database = new Database(_folder.Path);
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

    [Fact]
    public void A_file_that_is_no_database_or_from_a_newer_version_is_refused()
    {
        File.WriteAllText(Path.Combine(_folder.Path, "jobs.sqlite"), new string('x', 5000));
        Assert.Contains("is not a usable database", Assert.Throws<UserInputException>(() => new Database(_folder.Path)).Message, StringComparison.Ordinal);
        File.Delete(Path.Combine(_folder.Path, "jobs.sqlite"));
        SqliteConnection.ClearAllPools();
        using (new Database(_folder.Path))
        using (var connection = new SqliteConnection($"Data Source={Path.Combine(_folder.Path, "jobs.sqlite")};Pooling=False"))
        {
            connection.Open();
            using var command = connection.CreateCommand();
            command.CommandText = "PRAGMA user_version = 99";
            command.ExecuteNonQuery();
        }

        Assert.Contains("schema 99, this one knows 1", Assert.Throws<UserInputException>(() => new Database(_folder.Path)).Message, StringComparison.Ordinal);
    }

    private static NewJob New(string prompt, string? key = null) => new(key, prompt, prompt, [], new(3, 1000, 1, TimeSpan.FromMinutes(10)));
}
