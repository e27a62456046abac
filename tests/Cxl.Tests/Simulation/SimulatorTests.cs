using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Policy;
using Moebius.Cxl.Simulation;

namespace Moebius.Cxl.Tests.Simulation;

public class SimulatorTests
{
    private const int Slices = 1500;

    [Theory]
    [InlineData("ddr5")]
    [InlineData("cxl-a")]
    [InlineData("cxl-b")]
    public void Auto_reaches_the_oracle_on_fifty_random_mixes(string name)
    {
        var curve = LinkCurve.Published.Single(curve => curve.Name == name);
        var shares = new List<double>();
        for (var seed = 0; seed < 50; seed++)
        {
            var workload = RandomWorkload.Mix(new Random(seed), threads: 48, cores: 16, curve.At(curve.BestShare));
            shares.Add(new Simulator(curve, workload, seed).Run(MemoryStrategy.Auto, Slices).OfOracle);
        }

        Assert.True(shares.Average() >= 0.95 && shares.Min() >= 0.90, $"mean {shares.Average():P1}, worst {shares.Min():P1}");
        // A bound that a schedule beats is none.
        Assert.True(shares.Max() <= 1.01, $"best {shares.Max():P1}");
    }

    [Theory]
    [InlineData(100, 1)]
    [InlineData(1, 100)]
    public void Nobody_starves(int readers, int writers)
    {
        var workload = Workload.Classes(readers, writers, 0, 0, cores: 8, demand: 8);
        var result = new Simulator(LinkCurve.CxlA, workload, 1).Run(MemoryStrategy.DuplexPair, Slices);
        // 101 threads on 8 cores: a turn every 13 slices; the aging limit is three times that, and those who reach it
        // together may wait for one more turn.
        Assert.True(result.WaitMaximum <= (3 * 13 + 13) * Simulator.SliceMilliseconds, $"{result.WaitMaximum} ms");
        Assert.True(result.Fairness > 0.99, $"{result.Fairness}");
    }

    [Fact]
    public void The_latency_class_does_not_wait_for_bulk()
    {
        var workload = Workload.Classes(24, 8, 0, 2, cores: 8, demand: 8);
        var simulator = new Simulator(LinkCurve.CxlA, workload, 1);
        Assert.Equal(new LatencyTail(0, 1), simulator.Run(MemoryStrategy.LatencyGuard, Slices).LatencyP99);
        Assert.True(simulator.Run(MemoryStrategy.Observe, Slices).LatencyP99!.Wait > 0);
    }

    [Fact]
    public void Without_contention_no_strategy_costs_anything()
    {
        var simulator = new Simulator(LinkCurve.CxlA, Workload.Classes(6, 6, 0, 0, cores: 4, demand: 1), 1);
        var none = simulator.Run(MemoryStrategy.Observe, Slices);
        foreach (var strategy in Simulator.Strategies)
            Assert.Equal(none.Bandwidth, simulator.Run(strategy, Slices).Bandwidth, 6);
    }

    [Fact]
    public void The_same_seed_gives_the_same_result()
    {
        var workload = RandomWorkload.Mix(new Random(3), 32, 8, 33);
        Assert.Equal(new Simulator(LinkCurve.CxlA, workload, 3).Run(MemoryStrategy.Auto, 300), new Simulator(LinkCurve.CxlA, workload, 3).Run(MemoryStrategy.Auto, 300));
    }
}
