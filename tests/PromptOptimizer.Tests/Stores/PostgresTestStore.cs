using System.Data.Common;
using Moebius.Crds.Config;
using Moebius.PromptOptimizer.Jobs;
using Npgsql;

namespace Moebius.PromptOptimizer.Tests.Stores;

/// <summary>A database of the test's own on the server that the tests of a run share, or on one of its own.</summary>
internal sealed class PostgresTestStore : TestStore
{
    private readonly PostgresServer _server;
    private readonly string _database = $"test_{Guid.NewGuid():N}";

    public PostgresTestStore(PostgresServer? server = null)
    {
        _server = server ?? PostgresServer.Shared;
        _server.Sql($"CREATE DATABASE {_database} TEMPLATE template0 ENCODING 'UTF8'");
    }

    public override string Config => "store: PostgreSQL";

    public override string Refusal => "store: PostgreSQL does not answer (SQLSTATE P0001): ask again";

    /// <summary>With a wait for the server that a test can wait for.</summary>
    public string ConnectionString => $"{_server.ConnectionString(_database)};Timeout=2;Command Timeout=5";

    public string Uri => $"postgresql://optimizer:{PostgresServer.Password}@127.0.0.1:{_server.Port}/{_database}";

    public override string? Variable(string name) => name == ContainerVariables.StoreConnection ? ConnectionString : null;

    public override Database Open() => new PostgresDatabase(StoreConnection.Parse(ConnectionString, null));

    public override void LetLeasesPass() => Sql("UPDATE prompt_jobs SET lease_until = 0");

    public override void Refuse(string change, string table, string? condition = null) => Sql($"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no, said the lion'; END $$;
        CREATE TRIGGER refuse BEFORE {change} ON {table} FOR EACH ROW {(condition is null ? "" : $"WHEN ({condition})")} EXECUTE FUNCTION refuse()
        """);

    public override void Take(string table) => Sql($"DROP TRIGGER refuse ON {table}; DROP FUNCTION refuse()");

    public override void Dispose()
    {
        if (_server.IsRunning)
            _server.Sql($"DROP DATABASE {_database} WITH (FORCE)");
    }

    protected override DbConnection Connect() => new NpgsqlConnection($"{_server.ConnectionString(_database)};Pooling=false");
}
