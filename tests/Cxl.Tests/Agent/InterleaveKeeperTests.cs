using Moebius.Cxl.Agent;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Tests.Agent;

/// <summary>Whatever happens between, the weights at the end are those that the machine had.</summary>
public sealed class InterleaveKeeperTests : IDisposable
{
    private const string Weights = "kernel/mm/mempolicy/weighted_interleave/node";
    private readonly SysfsFixture _sysfs = new("ddr-only", $"{Weights}0 = 7", $"{Weights}1 = 5");

    private AgentOptions Options => new() { Sysfs = _sysfs.Root, State = Path.Combine(_sysfs.Root, "state"), Patience = TimeSpan.FromMinutes(1) };

    private (string?, string?) Set => (_sysfs[$"{Weights}0"], _sysfs[$"{Weights}1"]);

    public void Dispose() => _sysfs.Dispose();

    [Fact]
    public void Weights_take_the_place_of_those_set_before()
    {
        using var keeper = new InterleaveKeeper(Options);
        Assert.Null(keeper.Apply(new Dictionary<int, int> { [0] = 2, [1] = 3 }));
        Assert.Null(keeper.Apply(new Dictionary<int, int> { [0] = 4 }));
        Assert.Equal(("4", "5"), Set);
        keeper.Restore();
        Assert.Equal(("7", "5"), Set);
    }

    [Fact]
    public async Task Weights_of_an_agent_that_was_killed_meanwhile_are_not_what_is_put_back()
    {
        using var keeper = new InterleaveKeeper(Options);
        var other = WeightRecord.TryOpen(Options.State, Options.Procfs)!;
        new WeightedInterleave(_sysfs.Root, other).Apply(new Dictionary<int, int> { [0] = 9 });
        Assert.Null(keeper.RestoreLeft());
        var applied = Task.Run(() => keeper.Apply(new Dictionary<int, int> { [1] = 2 }), TestContext.Current.CancellationToken);
        other.Dispose();
        Assert.Null(await Eventually.EndsAsync(applied));
        Assert.Equal(("7", "2"), Set);
        keeper.Restore();
        Assert.Equal(("7", "5"), Set);
    }

    [Fact]
    public void What_could_not_be_put_back_once_is_put_back_later()
    {
        using var keeper = new InterleaveKeeper(Options);
        Assert.Null(keeper.Apply(new Dictionary<int, int> { [0] = 2 }));
        var file = Path.Combine(_sysfs.Root, $"{Weights}0");
        File.Delete(file);
        Directory.CreateDirectory(file);
        Assert.Throws<UnauthorizedAccessException>(keeper.Restore);
        Directory.Delete(file);
        File.WriteAllText(file, "2\n");
        Assert.Null(keeper.Apply(new Dictionary<int, int> { [0] = 3 }));
        keeper.Restore();
        Assert.Equal(("7", "5"), Set);
    }
}
