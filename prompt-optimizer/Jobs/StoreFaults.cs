using Microsoft.Data.Sqlite;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>Words for what the store says.</summary>
internal static class StoreFaults
{
    /// <summary>SQLite's own words for the code alone: its message may quote a statement.</summary>
    public static string Words(SqliteException error) => SQLitePCL.raw.sqlite3_errstr(error.SqliteErrorCode).utf8_to_string();
}
