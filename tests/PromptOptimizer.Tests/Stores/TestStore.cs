using System.Data.Common;
using Microsoft.Data.Sqlite;
using Moebius.PromptOptimizer.Jobs;

namespace Moebius.PromptOptimizer.Tests.Stores;

/// <summary>A store of a test's own, and what a test does behind the service's back.</summary>
internal abstract class TestStore : IDisposable
{
    /// <summary>Its lines in the configuration.</summary>
    public abstract string Config { get; }

    /// <summary>Its folder, for <c>--data</c>; null: it has none.</summary>
    public virtual string? Folder => null;

    /// <summary>The variables that it comes in.</summary>
    public virtual string? Variable(string name) => null;

    /// <summary>Opens it, as a service does that starts.</summary>
    public abstract Database Open();

    /// <summary>Makes those who died with a job in hand forgotten: with leases, that takes its time.</summary>
    public abstract void LetLeasesPass();

    /// <summary>Lets a change of a table fail until <see cref="Take"/>, all or where a condition holds.</summary>
    public abstract void Refuse(string change, string table, string? condition = null);

    /// <summary>Ends what <see cref="Refuse"/> began.</summary>
    public abstract void Take(string table);

    /// <summary>The words of the service for such a failure.</summary>
    public abstract string Refusal { get; }

    /// <summary>The first value that a statement gives; null: none.</summary>
    public object? Sql(string text)
    {
        using var connection = Connect();
        connection.Open();
        using var command = connection.CreateCommand();
#pragma warning disable CA2100 // The tests' own text.
        command.CommandText = text;
#pragma warning restore CA2100
        return command.ExecuteScalar();
    }

    public abstract void Dispose();

    protected abstract DbConnection Connect();
}

/// <summary>A file in a folder that goes away with the test.</summary>
internal sealed class SqliteTestStore : TestStore
{
    private readonly TemporaryFolder _folder = new();

    public override string Config => "";

    public override string Folder => _folder.Path;

    public override string Refusal => "--data: the store does not answer (constraint failed): if its disk is full, make room; then ask again";

    public override Database Open() => new SqliteDatabase(_folder.Path);

    public override void LetLeasesPass()
    {
    }

    public override void Refuse(string change, string table, string? condition = null) =>
        Sql($"CREATE TRIGGER refuse BEFORE {change} ON {table} {(condition is null ? "" : $"WHEN {condition}")} BEGIN SELECT RAISE(ABORT, 'no'); END");

    public override void Take(string table) => Sql("DROP TRIGGER refuse");

    public override void Dispose() => _folder.Dispose();

    protected override DbConnection Connect() => new SqliteConnection($"Data Source={Path.Combine(_folder.Path, "jobs.sqlite")};Pooling=False");
}
