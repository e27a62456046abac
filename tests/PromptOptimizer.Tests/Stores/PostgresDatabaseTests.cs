using Moebius.Crds;
using Moebius.PromptOptimizer.Jobs;

namespace Moebius.PromptOptimizer.Tests.Stores;

/// <summary>What only a database on a server has: others beside it, and a server that says no.</summary>
[Trait("Category", "Component")]
public sealed class PostgresDatabaseTests : IDisposable
{
    private readonly PostgresTestStore _store = new();

    public void Dispose() => _store.Dispose();

    [Fact]
    public async Task Several_that_start_at_once_make_the_tables_once()
    {
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => _store.Open().Dispose())));
        Assert.Equal(Schema.Version, _store.Sql("SELECT version FROM prompt_schema"));
        Assert.Equal(1L, _store.Sql("SELECT COUNT(*) FROM prompt_schema"));
    }

    [Fact]
    public async Task No_job_is_claimed_twice()
    {
        using var database = _store.Open();
        var stores = Enumerable.Range(0, 4).Select(_ => new JobStore(database, TimeProvider.System)).ToList();
        for (var number = 0; number < 60; number++)
            stores[0].Create(New());
        var claimed = await Task.WhenAll(stores.SelectMany(store => Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            var mine = new List<string>();
            while (store.Claim([]) is { } id)
                mine.Add(id);
            return mine;
        }))));
        Assert.Equal(60, claimed.Sum(some => some.Count));
        Assert.Equal(60, claimed.SelectMany(some => some).Distinct().Count());
    }

    /// <summary>A statement that looks for a job in one state passes over it while another transaction gives it that state.</summary>
    [Fact]
    public async Task A_cancel_is_not_lost_on_a_job_that_is_just_being_put_back()
    {
        using var database = _store.Open();
        using var other = _store.Open();
        var store = new JobStore(database, TimeProvider.System);
        var id = store.Create(New()).Job!.Id;
        store.Claim([]);
        var cancel = other.Write(connection =>
        {
            connection.Execute("UPDATE prompt_jobs SET state = 'Queued', worker = NULL, lease_until = NULL WHERE id = @id", ("@id", id));
            var waiting = Task.Run(() => store.RequestCancel(id));
            Assert.True(SpinWait.SpinUntil(() => (long)_store.Sql("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")! == 1, Eventually.Limit));
            return waiting;
        });
        Assert.Equal(JobState.Cancelled, (await cancel)!.State);
    }

    [Fact]
    public void Only_who_holds_a_job_changes_it()
    {
        using var database = _store.Open();
        var (slow, fast) = (new JobStore(database, TimeProvider.System), new JobStore(database, TimeProvider.System));
        var id = slow.Create(New()).Job!.Id;
        slow.Claim([]);
        Assert.Equal(0, fast.Recover([]));
        Assert.Equal([id], slow.Renew());
        _store.LetLeasesPass();
        Assert.Equal(1, fast.Recover([]));
        Assert.Equal(id, fast.Claim([]));
        // The slow one comes back, and does not know.
        Assert.Empty(slow.Renew());
        Assert.False(slow.Holds(slow.Get(id)!));
        slow.Requeue(id, null, failedAttempt: true);
        slow.SaveIntent(id, new("", "lion", [], [], [], "", ""));
        slow.StepStarted(id, "late");
        Assert.False(slow.End(id, JobState.Failed, null, new(FailureReason.InternalError, "x")));
        var job = fast.Get(id)!;
        Assert.Equal((JobState.Running, 0, null), (job.State, job.Attempts, job.Intent));
        Assert.True(fast.Holds(job));
        Assert.DoesNotContain(fast.Events(id, 0), happened => happened.Subject == "late");
    }

    [Fact]
    public void A_lease_ends_by_the_servers_clock()
    {
        using var database = _store.Open();
        var store = new JobStore(database, TimeProvider.System);
        store.Create(New());
        store.Claim([]);
        var left = (long)_store.Sql("SELECT lease_until - CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) FROM prompt_jobs")!;
        Assert.InRange(left, 1, (long)JobStore.Lease.TotalMilliseconds);
    }

    [Fact]
    public void What_the_server_refuses_is_told_without_the_secret()
    {
        _store.Open().Dispose();
        var server = PostgresServer.Shared;
        _store.Sql($"DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN PASSWORD '{PostgresServer.Password}'");
        Refused(_store.ConnectionString.Replace("s3cr", "wrong", StringComparison.Ordinal), "the server refuses the user or the password");
        Refused(server.ConnectionString("absent"), "there is no database of that name");
        Refused(_store.ConnectionString.Replace("=optimizer", "=guest", StringComparison.Ordinal), "the user may not do that");
        Refused($"{_store.ConnectionString};SSL Mode=VerifyFull", "");
        _store.Sql("UPDATE prompt_schema SET version = 99");
        Refused(_store.ConnectionString, "the tables were made by a newer version (schema 99, this one knows 2): upgrade, or use another database");
        _store.Sql("UPDATE prompt_schema SET version = 1");
        Refused(_store.ConnectionString, "the table prompt_schema is not one of ours");

        static void Refused(string connection, string problem)
        {
            var message = Assert.Throws<UserInputException>(() => new PostgresDatabase(StoreConnection.Parse(connection, null))).Message;
            Assert.StartsWith($"MOEBIUS_STORE_CONNECTION: {problem}", message, StringComparison.Ordinal);
            foreach (var secret in new[] { "s3cr", "p@ss", "word", "optimizer", "guest", "127.0.0.1" }.Where(secret => !problem.Contains(secret, StringComparison.Ordinal)))
                Assert.DoesNotContain(secret, message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', message);
        }
    }

    [Fact]
    public void A_database_that_cannot_hold_every_prompt_is_refused()
    {
        var server = PostgresServer.Shared;
        server.Sql("CREATE DATABASE narrow TEMPLATE template0 ENCODING 'LATIN1'");
        try
        {
            var message = Assert.Throws<UserInputException>(() => new PostgresDatabase(StoreConnection.Parse(server.ConnectionString("narrow"), null))).Message;
            Assert.Contains("keeps text as LATIN1", message, StringComparison.Ordinal);
        }
        finally
        {
            server.Sql("DROP DATABASE narrow WITH (FORCE)");
        }
    }

    [Fact]
    public void The_uri_of_a_secret_reaches_it_with_every_sign_in_its_password()
    {
        using var database = new PostgresDatabase(StoreConnection.Parse(_store.Uri.Replace(PostgresServer.Password, Uri.EscapeDataString(PostgresServer.Password), StringComparison.Ordinal), null));
        Assert.Empty(new JobStore(database, TimeProvider.System).List(null, null, null, 10));
    }

    private static NewJob New() => new(null, "x", "a lion", [], new(3, 1000, 1, TimeSpan.FromMinutes(10)));
}
