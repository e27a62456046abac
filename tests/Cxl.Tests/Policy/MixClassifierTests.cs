using FsCheck;
using FsCheck.Fluent;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Policy;

namespace Moebius.Cxl.Tests.Policy;

public class MixClassifierTests
{
    private readonly MixClassifier _classifier = new(0.7, 0.3);

    [Theory]
    [InlineData(100, 0, MemoryIntent.ReadHeavy)]
    [InlineData(0, 100, MemoryIntent.WriteHeavy)]
    [InlineData(50, 50, MemoryIntent.Balanced)]
    [InlineData(69, 31, MemoryIntent.Balanced)]
    [InlineData(3, 3, MemoryIntent.Unknown)]
    public void A_first_interval_gives_the_class(ulong reads, ulong writes, MemoryIntent expected) =>
        Assert.Equal(expected, _classifier.Next(default, reads, writes).Class);

    [Fact]
    public void A_mix_at_the_threshold_does_not_flap()
    {
        var state = _classifier.Next(default, 72, 28);
        var changes = 0;
        for (var i = 0; i < 100; i++)
        {
            var next = _classifier.Next(state, i % 2 == 0 ? 68UL : 72, i % 2 == 0 ? 32UL : 28);
            changes += next.Class == state.Class ? 0 : 1;
            state = next;
        }

        Assert.Equal((MemoryIntent.ReadHeavy, 0), (state.Class, changes));
    }

    [Fact]
    public void A_lasting_change_is_followed()
    {
        var state = _classifier.Next(default, 100, 0);
        for (var i = 0; i < 10; i++)
            state = _classifier.Next(state, 0, 100);
        Assert.Equal(MemoryIntent.WriteHeavy, state.Class);
    }

    [Property]
    public Property The_class_agrees_with_the_share_outside_the_margins() =>
        Prop.ForAll(Gen.Choose(0, 1000).Two().ListOf().ToArbitrary(), intervals =>
        {
            var state = default(MixState);
            foreach (var (reads, writes) in intervals)
                state = _classifier.Next(state, (ulong)reads, (ulong)writes);
            return state.ReadShare switch
            {
                null => state.Class == MemoryIntent.Unknown,
                > 0.7 => state.Class == MemoryIntent.ReadHeavy,
                < 0.3 => state.Class == MemoryIntent.WriteHeavy,
                > 0.3 + MixClassifier.Margin and < 0.7 - MixClassifier.Margin => state.Class == MemoryIntent.Balanced,
                _ => state.Class != MemoryIntent.Unknown,
            };
        });
}
