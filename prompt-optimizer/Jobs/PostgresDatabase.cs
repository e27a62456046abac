using System.Data;
using System.Data.Common;
using System.Security.Cryptography;
using Moebius.Crds;
using Moebius.Crds.Config;
using Npgsql;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>
/// A PostgreSQL database that several services may share. Each statement sees what others have committed; who works on a
/// job holds it by a lease (<see cref="JobStore.Renew"/>). One that is away for a while is waited for.
/// </summary>
internal sealed class PostgresDatabase : Database
{
    /// <summary>Times that a transaction is begun before its fault is told.</summary>
    private const int Tries = 3;

    /// <summary>Held while tables are made. A number of our own: the letters MOEBPSCH.</summary>
    private const long SchemaLock = 0x4D4F454250534348;

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private readonly NpgsqlDataSource _source;
    private readonly Lock _preparing = new();
    private volatile bool _prepared;

    /// <summary>Connects and makes the tables, unless the server is away: then that is done when it is back.</summary>
    /// <exception cref="UserInputException">The connection is refused, or the database is not one that this version can use.</exception>
    public PostgresDatabase(StoreConnection connection)
    {
        _source = connection.CreateSource();
        try
        {
            using var _ = Open();
        }
        catch (DbException error) when (StoreFaults.MayPass(error))
        {
            // The service starts, and is not ready until it answers.
        }
        catch (DbException error)
        {
            _source.Dispose();
            throw new UserInputException($"{ContainerVariables.StoreConnection}: {StoreFaults.Words(error)}", error);
        }
    }

    public override SqlWords Words { get; } = new(
        "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "BIGINT", "BYTEA", "", "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)", "FOR UPDATE SKIP LOCKED",
        // The letters MOEBPQUE.
        "SELECT pg_advisory_xact_lock(5570747415198258501)");

    public override bool IsShared => true;

    public override T Read<T>(Func<DbConnection, T> query) => Run(query, IsolationLevel.RepeatableRead, changes: false);

    public override T Write<T>(Func<DbConnection, T> change) => Run(change, IsolationLevel.ReadCommitted, changes: true);

    /// <summary>The server does that by itself, when it vacuums.</summary>
    public override bool EmptyLog() => true;

    public override void Dispose() => _source.Dispose();

    private T Run<T>(Func<DbConnection, T> work, IsolationLevel isolation, bool changes)
    {
        for (var attempt = 1; ; attempt++)
        {
            // A server that takes no connection is not asked again here: who calls knows how long to wait.
            using var connection = Open();
            var ending = false;
            try
            {
                using var transaction = connection.BeginTransaction(isolation);
                var result = work(connection);
                // From here on nobody can say whether a change was made.
                ending = changes;
                transaction.Commit();
                return result;
            }
            catch (DbException error) when (StoreFaults.MayPass(error))
            {
                // The server was restarted, or is no primary any more: so it is for the other connections.
                if (StoreFaults.IsOfConnection(error))
                    NpgsqlConnection.ClearPool(connection);
                if (ending || attempt == Tries || !StoreFaults.MayPassSoon(error))
                    throw;
            }

            Thread.Sleep(attempt * Pause);
        }
    }

    private NpgsqlConnection Open()
    {
        var connection = Connect();
        try
        {
            if (!_prepared)
            {
                lock (_preparing)
                {
                    if (!_prepared)
                        Prepare(connection);
                    _prepared = true;
                }
            }

            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    private NpgsqlConnection Connect()
    {
        try
        {
            return _source.OpenConnection();
        }
        catch (Exception error) when (error is CryptographicException or FileNotFoundException or DirectoryNotFoundException)
        {
            // Whatever else goes wrong is the driver's own error.
            throw new StoreRefusedException("a certificate or key that the connection string names cannot be read");
        }
    }

    private void Prepare(NpgsqlConnection connection)
    {
        using var transaction = connection.BeginTransaction();
        // Several may start at once.
        connection.Execute("SELECT pg_advisory_xact_lock(@lock)", ("@lock", SchemaLock));
        var encoding = connection.Query(reader => reader.GetString(0), "SHOW server_encoding")[0];
        if (encoding != "UTF8")
            throw new StoreRefusedException($"the database keeps text as {encoding}, which cannot hold every prompt: make one with ENCODING 'UTF8'");
        if (connection.Scalar("SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass('prompt_schema')") == 0)
        {
            connection.Execute("CREATE TABLE prompt_schema (version BIGINT NOT NULL)");
            connection.Execute(Schema.Tables(Words));
            connection.Execute("INSERT INTO prompt_schema (version) VALUES (@version)", ("@version", Schema.Version));
        }
        else if (connection.Scalar("SELECT MAX(version) FROM prompt_schema") is var version && version != Schema.Version)
        {
            throw new StoreRefusedException(version > Schema.Version
                ? $"the tables were made by a newer version (schema {version}, this one knows {Schema.Version}): upgrade, or use another database"
                : $"the table prompt_schema is not one of ours (it says {version?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "nothing"}, this version knows {Schema.Version}): use another database");
        }

        transaction.Commit();
    }
}
