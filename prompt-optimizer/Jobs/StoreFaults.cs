using System.Data.Common;
using System.Net.Sockets;
using System.Security.Authentication;
using Microsoft.Data.Sqlite;
using Npgsql;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>A store that answers, and is not one that this version can use.</summary>
internal sealed class StoreRefusedException(string message) : DbException(message);

/// <summary>What the store's errors mean, and words for them. An error's own message may quote a statement, a value or a name: none of it is told.</summary>
internal static class StoreFaults
{
    /// <summary>Conditions of PostgreSQL that a person can act on; others are told by their code.</summary>
    private static readonly Dictionary<string, string> Conditions = new(StringComparer.Ordinal)
    {
        [PostgresErrorCodes.InvalidPassword] = "the server refuses the user or the password: correct the Secret or variable that it comes from",
        [PostgresErrorCodes.InvalidAuthorizationSpecification] = "the server does not let this user in from here: correct the user, or the server's pg_hba.conf",
        [PostgresErrorCodes.InvalidCatalogName] = "there is no database of that name: make it, or name another",
        [PostgresErrorCodes.InsufficientPrivilege] = "the user may not do that: let it create tables in a schema of its search path, and read and write those named prompt_*",
        [PostgresErrorCodes.InvalidSchemaName] = "no schema of the search path exists: make it",
        [PostgresErrorCodes.DiskFull] = "the server's disk is full: make room",
        [PostgresErrorCodes.TooManyConnections] = "the server has no connection left: raise its max_connections, or lower Maximum Pool Size",
        [PostgresErrorCodes.ReadOnlySqlTransaction] = "the server takes no changes: it is a standby, or its database is read-only",
        [PostgresErrorCodes.CannotConnectNow] = "the server is starting or stopping",
        [PostgresErrorCodes.AdminShutdown] = "the server was stopped",
        [PostgresErrorCodes.CrashShutdown] = "the server has crashed and starts again",
    };

    /// <summary>Words for the kind of an error alone.</summary>
    public static string Words(DbException error) => error switch
    {
        _ when Hosts(error) is [var first, ..] => Words(first),
        _ when IsNoPrimary(error) => "none of the hosts is what was asked for, such as a primary",
        StoreRefusedException refused => refused.Message,
        SqliteException sqlite => SQLitePCL.raw.sqlite3_errstr(sqlite.SqliteErrorCode).utf8_to_string(),
        PostgresException postgres => Conditions.TryGetValue(postgres.SqlState, out var words) ? $"{words} ({postgres.SqlState})" : $"SQLSTATE {postgres.SqlState}",
        _ => Cause(error) switch
        {
            SocketException socket => $"the server cannot be reached: {socket.SocketErrorCode}",
            TimeoutException => "the server does not answer in time",
            AuthenticationException => "no TLS with the server: its certificate is not trusted or not for this host, or they have no protocol in common",
            IOException => "the connection broke",
            // The driver's own words hold no value; without a cause they are about what the two cannot agree on, such as TLS.
            var cause => cause is NpgsqlException and not PostgresException ? $"the driver refuses: {cause.Message}" : cause.GetType().Name,
        },
    };

    /// <summary>Whether it may be gone without anybody's doing, or for somebody else to mend: a service that starts waits for that.</summary>
    public static bool MayPass(DbException error) => error switch
    {
        _ when Hosts(error) is { Count: > 0 } hosts => hosts.Any(MayPass),
        _ when IsNoPrimary(error) => true,
        StoreRefusedException => false,
        PostgresException postgres => postgres.IsTransient || IsOfConnection(postgres),
        _ => Cause(error) is SocketException or TimeoutException or IOException || error.IsTransient,
    };

    /// <summary>Whether the next try may do better at once: it met another transaction, or a connection that was dead already.</summary>
    public static bool MayPassSoon(DbException error) => error switch
    {
        PostgresException postgres => postgres.SqlState is PostgresErrorCodes.SerializationFailure or PostgresErrorCodes.DeadlockDetected || IsOfConnection(postgres),
        _ => Cause(error) is SocketException or IOException,
    };

    /// <summary>Whether it is about the server, and so about every connection to it.</summary>
    public static bool IsOfConnection(DbException error) => error is not PostgresException postgres
        || postgres.SqlState is PostgresErrorCodes.AdminShutdown or PostgresErrorCodes.CrashShutdown or PostgresErrorCodes.CannotConnectNow or PostgresErrorCodes.ReadOnlySqlTransaction
        || postgres.SqlState.StartsWith("08", StringComparison.Ordinal);

    /// <summary>What each of several hosts said; empty for the error of one.</summary>
    private static List<DbException> Hosts(DbException error) => error.InnerException is AggregateException all ? [.. all.InnerExceptions.OfType<DbException>()] : [];

    /// <summary>Several hosts answer, and the one that was asked for is not among them: so it is while another takes over. The driver has no other sign of it.</summary>
    private static bool IsNoPrimary(DbException error) => error is NpgsqlException { InnerException: null, Message: "No suitable host was found." };

    /// <summary>The innermost of an error, or what TLS makes of it: what lies below that is OpenSSL's.</summary>
    private static Exception Cause(Exception error)
    {
        while (error.InnerException is { } inner && error is not AuthenticationException)
            error = inner;
        return error;
    }
}
