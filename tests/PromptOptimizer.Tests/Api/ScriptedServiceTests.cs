using Moebius.PromptOptimizer.Tests.Stores;

namespace Moebius.PromptOptimizer.Tests.Api;

/// <summary>What tests of the service against the scripted endpoint have in common.</summary>
[Trait("Category", "Component")]
public abstract class ScriptedServiceTests : IAsyncLifetime
{
    private protected const string Lion = "birthday blessing for a friend, he is like a lion";

    private protected TestStore Store { get; private set; } = null!;

    private protected ScriptedEndpoint Model { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        Store = CreateStore();
        Model = await ScriptedEndpoint.StartAsync();
    }

    public async ValueTask DisposeAsync()
    {
        // Skipped before there was one.
        if (Model is not null)
            await Model.DisposeAsync();
        Store?.Dispose();
        GC.SuppressFinalize(this);
    }

    private protected Task<TestService> StartAsync(string more = "", Func<string, string?>? environment = null) =>
        TestService.StartAsync(TestService.Config(Model.Url, more), Store, environment);

    /// <summary>Where jobs are kept: a file, unless a class says otherwise.</summary>
    private protected virtual TestStore CreateStore() => new SqliteTestStore();

    private protected object? Sql(string text) => Store.Sql(text);

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
