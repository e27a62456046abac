using Microsoft.Data.Sqlite;

namespace Moebius.PromptOptimizer.Tests.Api;

/// <summary>What tests of the service against the scripted endpoint have in common.</summary>
[Trait("Category", "Component")]
public abstract class ScriptedServiceTests : IAsyncLifetime
{
    private protected const string Lion = "birthday blessing for a friend, he is like a lion";

    private protected TemporaryFolder Folder { get; } = new();

    private protected ScriptedEndpoint Model { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Model = await ScriptedEndpoint.StartAsync();

    public async ValueTask DisposeAsync()
    {
        await Model.DisposeAsync();
        Folder.Dispose();
        GC.SuppressFinalize(this);
    }

    private protected Task<TestService> StartAsync(string more = "", Func<string, string?>? environment = null) =>
        TestService.StartAsync(TestService.Config(Model.Url, more), Folder.Path, environment);

    private protected object? Sql(string text)
    {
        using var connection = new SqliteConnection($"Data Source={Path.Combine(Folder.Path, "jobs.sqlite")};Pooling=False");
        connection.Open();
        using var command = connection.CreateCommand();
#pragma warning disable CA2100 // The tests' own text.
        command.CommandText = text;
#pragma warning restore CA2100
        return command.ExecuteScalar();
    }

    /// <summary>Lets the model answer nothing until what is returned is set.</summary>
    private protected TaskCompletionSource HoldModel()
    {
        var release = new TaskCompletionSource();
        Model.Override = async (call, cancel) =>
        {
            await release.Task.WaitAsync(cancel);
            return null;
        };
        return release;
    }
}
