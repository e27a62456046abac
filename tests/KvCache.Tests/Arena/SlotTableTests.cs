using Moebius.KvCache.Arena;

namespace Moebius.KvCache.Tests.Arena;

public sealed class SlotTableTests
{
    /// <summary>A law: whatever is taken and freed, a slot is handed out once, with the generation that was published for it.</summary>
    [Property(MaxTest = 300)]
    public void Slots_are_handed_out_once_with_their_generation((bool Take, byte Count)[] steps)
    {
        const int count = 61;
        var published = new ulong[count];
        var table = new SlotTable(count, (slot, generation) => published[slot] = generation);
        var taken = new List<SlotRef>();
        foreach (var (take, many) in steps ?? [])
        {
            if (take)
            {
                var slots = new SlotRef[many % 23];
                var given = slots.AsSpan(0, table.Take(slots));
                Assert.Equal(Math.Min(slots.Length, count - taken.Count), given.Length);
                taken.AddRange(given);
            }
            else
            {
                // Every third one, so that rows break up.
                int[] back = [.. taken.Where((_, place) => place % 3 == many % 3).Select(slot => slot.Index)];
                taken.RemoveAll(slot => back.Contains(slot.Index));
                table.Free(back);
            }

            Assert.Equal(count - taken.Count, table.FreeCount);
            Assert.Equal(taken.Count, taken.Select(slot => slot.Index).Distinct().Count());
            Assert.All(taken, slot => Assert.Equal((published[slot.Index], table.Reference(slot.Index)), (slot.Generation, slot)));
        }
    }

    [Fact]
    public void A_row_comes_out_as_it_was_freed()
    {
        var table = new SlotTable(10, static (_, _) => { });
        var all = new SlotRef[10];
        Assert.Equal(10, table.Take(all));
        table.Free([4, 5, 6, 7, 8]);
        table.Free([2]);
        var again = new SlotRef[6];
        Assert.Equal(6, table.Take(again));
        Assert.Equal([2, 4, 5, 6, 7, 8], again.Select(slot => slot.Index));
        var row = new SlotRef[5];
        table.ReferenceRow(4, row);
        Assert.Equal(again[1..], row);
    }
}
