using System.Globalization;
using Microsoft.Data.Sqlite;
using Moebius.Crds;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>
/// The SQLite file in the data folder. One process owns it (a lock file says so); write-ahead logging lets readers go on
/// during a write, and every commit is on the disk before the next step starts.
/// </summary>
internal sealed class Database : IDisposable
{
    private const int Version = 1;

    private const string Tables = """
        CREATE TABLE jobs (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            idempotency_key TEXT UNIQUE,
            fingerprint TEXT NOT NULL,
            prompt TEXT NOT NULL,
            dialects TEXT NOT NULL,
            limits TEXT NOT NULL,
            state TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            started_at INTEGER,
            ended_at INTEGER,
            attempts INTEGER NOT NULL DEFAULT 0,
            deaths INTEGER NOT NULL DEFAULT 0,
            not_before INTEGER,
            cancel_requested INTEGER NOT NULL DEFAULT 0,
            intent TEXT,
            outcome TEXT,
            failure TEXT
        ) STRICT;
        CREATE INDEX jobs_by_state ON jobs (state, seq);
        CREATE TABLE turns (
            job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
            number INTEGER NOT NULL,
            feedback TEXT,
            accepted_at INTEGER NOT NULL,
            deadline_at INTEGER NOT NULL,
            input_tokens INTEGER NOT NULL DEFAULT 0,
            output_tokens INTEGER NOT NULL DEFAULT 0,
            images INTEGER NOT NULL DEFAULT 0,
            model_ms INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (job, number)
        ) STRICT;
        CREATE TABLE rounds (
            job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
            number INTEGER NOT NULL,
            body TEXT NOT NULL,
            media_type TEXT,
            image BLOB,
            PRIMARY KEY (job, number)
        ) STRICT;
        CREATE TABLE events (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
            type TEXT NOT NULL,
            at INTEGER NOT NULL,
            subject TEXT
        ) STRICT;
        CREATE INDEX events_by_job ON events (job, id);
        """;

    private readonly string _connection;
    private readonly FileStream _lock;
    // SQLite lets one writer in at a time; waiting here is fair and does not poll.
    private readonly Lock _writing = new();

    /// <exception cref="UserInputException">The folder cannot be used, is in use, or holds a newer version's data.</exception>
    public Database(string folder)
    {
        try
        {
            // It holds what users wrote, in plain text.
            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            _lock = new FileStream(Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new UserInputException($"--data: '{folder}' cannot be used: {error.Message} Give a folder that can be written and that no other process uses", error);
        }

        var file = Path.Combine(folder, "jobs.sqlite");
        _connection = new SqliteConnectionStringBuilder { DataSource = file, ForeignKeys = true, DefaultTimeout = 10, Pooling = true }.ToString();
        try
        {
            Migrate(file);
        }
        catch (SqliteException error)
        {
            _lock.Dispose();
            throw new UserInputException($"--data: '{file}' is not a usable database: {error.Message}", error);
        }
        catch (UserInputException)
        {
            _lock.Dispose();
            throw;
        }
    }

    public T Read<T>(Func<SqliteConnection, T> query)
    {
        using var connection = Open();
        // One transaction, so that what several statements read belongs together.
        using var transaction = connection.BeginTransaction(deferred: true);
        return query(connection);
    }

    public T Write<T>(Func<SqliteConnection, T> change)
    {
        lock (_writing)
        {
            using var connection = Open();
            using var transaction = connection.BeginTransaction();
            var result = change(connection);
            transaction.Commit();
            return result;
        }
    }

    /// <summary>Moves the write-ahead log into the file and empties it, unless a reader holds on to it.</summary>
    /// <returns>Whether it is empty.</returns>
    public bool EmptyLog()
    {
        lock (_writing)
        {
            using var connection = Open();
            // The first of its columns says whether something stood in the way.
            return connection.Scalar("PRAGMA wal_checkpoint(TRUNCATE)") == 0;
        }
    }

    public void Dispose()
    {
        using (var connection = new SqliteConnection(_connection))
            SqliteConnection.ClearPool(connection);
        _lock.Dispose();
    }

    private SqliteConnection Open()
    {
        var connection = new SqliteConnection(_connection);
        connection.Open();
        connection.Execute("PRAGMA synchronous = FULL");
        // What is deleted is overwritten, not only forgotten.
        connection.Execute("PRAGMA secure_delete = ON");
        return connection;
    }

    private void Migrate(string file)
    {
        using var connection = Open();
        connection.Execute("PRAGMA journal_mode = WAL");
        var version = connection.Scalar("PRAGMA user_version");
        if (version > Version)
            throw new UserInputException($"--data: '{file}' was written by a newer version (schema {version}, this one knows {Version}): upgrade or give another folder");
        if (version == Version)
            return;
        using var transaction = connection.BeginTransaction();
        connection.Execute(Tables);
        connection.Execute($"PRAGMA user_version = {Version.ToString(CultureInfo.InvariantCulture)}");
        transaction.Commit();
    }
}

/// <summary>Short forms of the commands used here. SQL is constant; values come as parameters.</summary>
internal static class SqliteCommands
{
    public static int Execute(this SqliteConnection connection, string sql, params ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        using var command = Create(connection, sql, parameters);
        return command.ExecuteNonQuery();
    }

    public static long? Scalar(this SqliteConnection connection, string sql, params ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        using var command = Create(connection, sql, parameters);
        return command.ExecuteScalar() as long?;
    }

    public static List<T> Query<T>(this SqliteConnection connection, Func<SqliteDataReader, T> read, string sql, params ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        using var command = Create(connection, sql, parameters);
        using var reader = command.ExecuteReader();
        var rows = new List<T>();
        while (reader.Read())
            rows.Add(read(reader));
        return rows;
    }

    public static string? Text(this SqliteDataReader reader, string column) => reader[column] as string;

    public static long Number(this SqliteDataReader reader, string column) => (long)reader[column];

    public static DateTimeOffset? Time(this SqliteDataReader reader, string column) =>
        reader[column] is long milliseconds ? DateTimeOffset.FromUnixTimeMilliseconds(milliseconds) : null;

#pragma warning disable CA2100 // Every caller passes a constant.
    private static SqliteCommand Create(SqliteConnection connection, string sql, ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        var command = connection.CreateCommand();
        command.CommandText = sql;
        foreach (var (name, value) in parameters)
            command.Parameters.AddWithValue(name, value switch
            {
                null => DBNull.Value,
                DateTimeOffset time => time.ToUnixTimeMilliseconds(),
                Enum text => text.ToString(),
                _ => value,
            });
        return command;
    }
#pragma warning restore CA2100
}
