using System.Data.Common;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>Short forms of the commands used here. SQL is constant; values come as parameters.</summary>
internal static class StoreCommands
{
    public static int Execute(this DbConnection connection, string sql, params ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        using var command = Create(connection, sql, parameters);
        return command.ExecuteNonQuery();
    }

    public static long? Scalar(this DbConnection connection, string sql, params ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        using var command = Create(connection, sql, parameters);
        return command.ExecuteScalar() as long?;
    }

    public static List<T> Query<T>(this DbConnection connection, Func<DbDataReader, T> read, string sql, params ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        using var command = Create(connection, sql, parameters);
        using var reader = command.ExecuteReader();
        var rows = new List<T>();
        while (reader.Read())
            rows.Add(read(reader));
        return rows;
    }

    public static string? Text(this DbDataReader reader, string column) => reader[column] as string;

    public static long Number(this DbDataReader reader, string column) => (long)reader[column];

    public static DateTimeOffset? Time(this DbDataReader reader, string column) =>
        reader[column] is long milliseconds ? DateTimeOffset.FromUnixTimeMilliseconds(milliseconds) : null;

#pragma warning disable CA2100 // Every caller passes what is constant but for the words of its store.
    private static DbCommand Create(DbConnection connection, string sql, ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        var command = connection.CreateCommand();
        command.CommandText = sql;
        foreach (var (name, value) in parameters)
        {
            var parameter = command.CreateParameter();
            parameter.ParameterName = name;
            parameter.Value = value switch
            {
                null => DBNull.Value,
                DateTimeOffset time => time.ToUnixTimeMilliseconds(),
                Enum text => text.ToString(),
                _ => value,
            };
            command.Parameters.Add(parameter);
        }

        return command;
    }
#pragma warning restore CA2100
}
