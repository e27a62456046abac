using FsCheck.Xunit;
using Moebius.Inference.Experts;

namespace Moebius.Inference.Tests.Experts;

public class ExpertPlanTests
{
    [Property]
    public void Rows_are_a_permutation_sorted_by_expert(byte[] routing)
    {
        int[] chosen = [.. routing.Select(b => b % 8)];
        var plan = ExpertPlan.Group(chosen, 8);
        Assert.Equal(Enumerable.Range(0, chosen.Length), plan.Slots.Order());
        for (int slot = 0; slot < chosen.Length; slot++)
            Assert.Equal(slot, plan.Slots[plan.RowOf[slot]]);
        int row = 0;
        foreach (var group in plan.Groups)
        {
            Assert.Equal(row, group.First);
            for (; row < group.First + group.Count; row++)
                Assert.Equal(group.Expert, chosen[plan.Slots[row]]);
        }
        Assert.Equal(chosen.Length, row);
        Assert.Equal(plan.Groups.OrderBy(g => g.Expert), plan.Groups);
    }
}
