using FsCheck;
using FsCheck.Fluent;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Policy;

namespace Moebius.Cxl.Tests.Policy;

public class LinkCurveTests
{
    private static readonly Gen<double> Share = Gen.Choose(0, 1000).Select(value => value / 1000.0);

    [Fact]
    public void Measured_points_are_met_and_the_rest_lies_between()
    {
        Assert.Equal(33.6, LinkCurve.CxlA.At(0.5));
        Assert.Equal(21.7, LinkCurve.CxlA.At(0));
        Assert.Equal(23.3, LinkCurve.CxlA.At(1));
        Assert.Equal((31.4 + 22.4) / 2, LinkCurve.CxlA.At(0.7), 6);
    }

    [Fact]
    public void The_sag_of_a_cxl_link_is_bridged_by_alternating()
    {
        var (first, second, fraction, bandwidth) = LinkCurve.CxlA.Envelope(0.75);
        Assert.Equal((0.65, 1.0), (first, second));
        Assert.Equal(0.75, fraction * first + (1 - fraction) * second, 9);
        Assert.True(bandwidth > 1.25 * LinkCurve.CxlA.At(0.75));
    }

    [Property]
    public Property The_envelope_is_never_below_the_curve_and_keeps_the_mix() =>
        Prop.ForAll(Share.ToArbitrary(), Gen.Elements<LinkCurve>([.. LinkCurve.Published]).ToArbitrary(), (share, curve) =>
        {
            var (first, second, fraction, bandwidth) = curve.Envelope(share);
            return bandwidth >= curve.At(share) - 1e-9
                && Math.Abs(fraction * first + (1 - fraction) * second - share) < 1e-9
                && fraction is >= -1e-9 and <= 1 + 1e-9;
        });

    [Property]
    public Property The_limiter_never_carries_less_and_never_invents_traffic() =>
        Prop.ForAll(Gen.Choose(0, 100).ToArbitrary(), Gen.Choose(0, 100).ToArbitrary(), (reads, writes) =>
        {
            var curve = LinkCurve.CxlA;
            var (admittedReads, admittedWrites) = DirectionLimiter.Admit(curve, reads, writes);
            var unlimited = reads + writes == 0 ? 0 : Math.Min(reads + writes, curve.At((double)reads / (reads + writes)));
            return admittedReads <= reads + 1e-6 && admittedWrites <= writes + 1e-6
                && admittedReads + admittedWrites >= unlimited - 1e-6;
        });

    [Property]
    public Property Pairing_picks_distinct_threads_and_whoever_has_aged() =>
        Prop.ForAll(Gen.Choose(1, 16).ToArbitrary(), Share.Zip(Gen.Choose(0, 20)).ListOf().ToArbitrary(), (cores, threads) =>
        {
            RunnableThread[] runnable = [.. threads.Select(thread => new RunnableThread(thread.Item1, 1, 0, thread.Item2, false))];
            var picked = new DuplexPairing(LinkCurve.CxlB, 10).Pick(runnable, cores);
            var aged = runnable.Count(thread => thread.Waited >= 10);
            return picked.Distinct().Count() == Math.Min(cores, runnable.Length)
                && picked.Count == Math.Min(cores, runnable.Length)
                && picked.Count(index => runnable[index].Waited >= 10) >= Math.Min(cores, aged);
        });

    [Fact]
    public void Auto_keeps_what_it_has_unless_the_gain_is_real()
    {
        var auto = new AutoSelector([MemoryStrategy.Observe, MemoryStrategy.DuplexPair], holdWindows: 2);
        auto.Measured(100);
        auto.Measured(102);
        Assert.Equal(MemoryStrategy.Observe, auto.Current);
        auto.Measured(100);
        auto.Measured(100);
        auto.Measured(100);
        auto.Measured(110);
        Assert.Equal(MemoryStrategy.DuplexPair, auto.Current);
        Assert.Contains("10.0% more than Observe", auto.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Auto_is_not_moved_by_one_window_nor_by_the_one_after_a_change()
    {
        var auto = new AutoSelector([MemoryStrategy.DuplexPair, MemoryStrategy.DuplexToken], trialWindows: 3, settleWindows: 1);
        foreach (var bandwidth in new[] { 100.0, 100, 100, 100 })
            auto.Measured(bandwidth);
        Assert.Equal(MemoryStrategy.DuplexToken, auto.Current);
        // The first is still the other strategy's, and one of the three is an outlier.
        foreach (var bandwidth in new[] { 500.0, 100, 400, 101 })
            auto.Measured(bandwidth);
        Assert.Equal(MemoryStrategy.DuplexPair, auto.Current);
        Assert.Contains("no strategy carried over 3% more", auto.Reason, StringComparison.Ordinal);
    }
}
