using System.Data.Common;
using System.Globalization;
using Microsoft.Data.Sqlite;
using Moebius.Crds;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>
/// The SQLite file in the data folder. One process owns it (a lock file says so); write-ahead logging lets readers go on
/// during a write, and every commit is on the disk before the next step starts.
/// </summary>
internal sealed class SqliteDatabase : Database
{
    private readonly string _connection;
    private readonly FileStream _lock;
    // SQLite lets one writer in at a time; waiting here is fair and does not poll.
    private readonly Lock _writing = new();

    /// <exception cref="UserInputException">The folder cannot be used, is in use, or holds a newer version's data.</exception>
    public SqliteDatabase(string folder)
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

    public override SqlWords Words { get; } = new("INTEGER PRIMARY KEY AUTOINCREMENT", "INTEGER", "BLOB", " STRICT", "CAST(unixepoch('subsec') * 1000 AS INTEGER)", "", null);

    public override bool IsShared => false;

    public override T Read<T>(Func<DbConnection, T> query)
    {
        using var connection = Open();
        using var transaction = connection.BeginTransaction(deferred: true);
        return query(connection);
    }

    public override T Write<T>(Func<DbConnection, T> change)
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
    public override bool EmptyLog()
    {
        lock (_writing)
        {
            using var connection = Open();
            // The first of its columns says whether something stood in the way.
            return connection.Scalar("PRAGMA wal_checkpoint(TRUNCATE)") == 0;
        }
    }

    public override void Dispose()
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
        if (version > Schema.Version)
            throw new UserInputException($"--data: '{file}' was written by a newer version (schema {version}, this one knows {Schema.Version}): upgrade or give another folder");
        if (version == Schema.Version)
            return;
        using var transaction = connection.BeginTransaction();
        connection.Execute(version == 1 ? Schema.FileFrom1 : Schema.Tables(Words));
        connection.Execute($"PRAGMA user_version = {Schema.Version.ToString(CultureInfo.InvariantCulture)}");
        transaction.Commit();
    }
}
