using Microsoft.Data.Sqlite;
using Moebius.Crds;
using Moebius.PromptOptimizer.Jobs;

namespace Moebius.PromptOptimizer.Tests.Jobs;

/// <summary>What only a file has.</summary>
public sealed class SqliteDatabaseTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_folder_that_it_makes_is_for_its_owner_alone()
    {
        var folder = Path.Combine(_folder.Path, "made");
        using var database = new SqliteDatabase(folder);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(folder));
    }

    [Fact]
    public void What_is_purged_is_in_no_file()
    {
        using var database = new SqliteDatabase(_folder.Path);
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
    public void A_file_that_is_no_database_or_from_a_newer_version_is_refused()
    {
        File.WriteAllText(Path.Combine(_folder.Path, "jobs.sqlite"), new string('x', 5000));
        Assert.Contains("is not a usable database", Assert.Throws<UserInputException>(() => new SqliteDatabase(_folder.Path)).Message, StringComparison.Ordinal);
        File.Delete(Path.Combine(_folder.Path, "jobs.sqlite"));
        SqliteConnection.ClearAllPools();
        using (new SqliteDatabase(_folder.Path))
        using (var connection = new SqliteConnection($"Data Source={Path.Combine(_folder.Path, "jobs.sqlite")};Pooling=False"))
        {
            connection.Open();
            using var command = connection.CreateCommand();
            command.CommandText = "PRAGMA user_version = 99";
            command.ExecuteNonQuery();
        }

        Assert.Contains("schema 99, this one knows 2", Assert.Throws<UserInputException>(() => new SqliteDatabase(_folder.Path)).Message, StringComparison.Ordinal);
    }

    /// <summary>What was deleted makes room for what comes.</summary>
    [Fact]
    public void A_file_does_not_grow_when_as_much_is_deleted_as_comes()
    {
        using var database = new SqliteDatabase(_folder.Path);
        var store = new JobStore(database, TimeProvider.System);
        long Fill()
        {
            for (var number = 0; number < 20; number++)
                store.RequestCancel(store.Create(New(new string('x', 8000))).Job!.Id);
            Assert.Equal(20, Enumerable.Range(0, 20).Sum(_ => store.DeleteEnded(DateTimeOffset.UtcNow.AddMinutes(1))));
            return new FileInfo(Path.Combine(_folder.Path, "jobs.sqlite")).Length;
        }

        var first = Fill();
        for (var time = 0; time < 5; time++)
            Assert.InRange(Fill(), 1, first + (64 * 1024));
    }

    /// <summary>The tables of version 1, as its release made them.</summary>
    [Fact]
    public void A_file_of_the_version_before_is_brought_up_to_date_with_all_that_is_in_it()
    {
        using (var connection = new SqliteConnection($"Data Source={Path.Combine(_folder.Path, "jobs.sqlite")};Pooling=False"))
        {
            connection.Open();
            using var command = connection.CreateCommand();
            command.CommandText = """
                CREATE TABLE jobs (
                    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, idempotency_key TEXT UNIQUE, fingerprint TEXT NOT NULL, prompt TEXT NOT NULL,
                    dialects TEXT NOT NULL, limits TEXT NOT NULL, state TEXT NOT NULL, created_at INTEGER NOT NULL, started_at INTEGER, ended_at INTEGER,
                    attempts INTEGER NOT NULL DEFAULT 0, deaths INTEGER NOT NULL DEFAULT 0, not_before INTEGER, cancel_requested INTEGER NOT NULL DEFAULT 0,
                    intent TEXT, outcome TEXT, failure TEXT
                ) STRICT;
                CREATE INDEX jobs_by_state ON jobs (state, seq);
                CREATE TABLE turns (
                    job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE, number INTEGER NOT NULL, feedback TEXT, accepted_at INTEGER NOT NULL, deadline_at INTEGER NOT NULL,
                    input_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0, images INTEGER NOT NULL DEFAULT 0, model_ms INTEGER NOT NULL DEFAULT 0,
                    PRIMARY KEY (job, number)
                ) STRICT;
                CREATE TABLE rounds (job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE, number INTEGER NOT NULL, body TEXT NOT NULL, media_type TEXT, image BLOB, PRIMARY KEY (job, number)) STRICT;
                CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE, type TEXT NOT NULL, at INTEGER NOT NULL, subject TEXT) STRICT;
                CREATE INDEX events_by_job ON events (job, id);
                INSERT INTO jobs (id, fingerprint, prompt, dialects, limits, state, created_at) VALUES ('pj-old', 'f', 'an old lion', '[]', '{"rounds":3,"tokens":1000,"images":1,"deadline":"00:10:00"}', 'Running', 1);
                INSERT INTO turns (job, number, accepted_at, deadline_at) VALUES (1, 0, 1, 4102444800000);
                INSERT INTO events (job, type, at) VALUES (1, 'queued', 1);
                PRAGMA user_version = 1;
                """;
            command.ExecuteNonQuery();
        }

        using (var database = new SqliteDatabase(_folder.Path))
        {
            var store = new JobStore(database, TimeProvider.System);
            Assert.Equal(1, store.Recover([]));
            Assert.Equal("pj-old", store.Claim([]));
            Assert.Equal("an old lion", store.Get("pj-old")!.Prompt);
            Assert.Equal(["queued", "queued", "running"], store.Events("pj-old", 0).Select(happened => happened.Type));
            store.End("pj-old", JobState.Cancelled, null, null);
            // References still hold, and cascade.
            Assert.True(store.Purge("pj-old"));
            Assert.Empty(store.Events("pj-old", 0));
        }

        using (new SqliteDatabase(_folder.Path))
        {
            // It is up to date now.
        }
    }

    private static NewJob New(string prompt) => new(null, prompt, prompt, [], new(3, 1000, 1, TimeSpan.FromMinutes(10)));
}
