using FsCheck.Xunit;
using Moebius.Inference.Experts;

namespace Moebius.Inference.Tests.Experts;

public class ExpertPlanTests
{
    [Property]
    public void Rows_are_a_permutation_with_resident_experts_first(byte[] routing, byte resident)
    {
        int[] chosen = [.. routing.Select(b => b % 8)];
        var plan = ExpertPlan.Group(chosen, 8, e => (resident >> e & 1) != 0);
        Assert.Equal(Enumerable.Range(0, chosen.Length), plan.Slots.Order());
        for (int slot = 0; slot < chosen.Length; slot++)
            Assert.Equal(slot, plan.Slots[plan.RowOf[slot]]);
        int row = 0;
        foreach (var group in plan.Groups)
        {
            Assert.Equal(row, group.First);
            Assert.Equal((resident >> group.Expert & 1) != 0, group.Resident);
            for (; row < group.First + group.Count; row++)
                Assert.Equal(group.Expert, chosen[plan.Slots[row]]);
        }
        Assert.Equal(chosen.Length, row);
        Assert.Equal(plan.Groups.OrderByDescending(g => g.Resident).ThenBy(g => g.Expert), plan.Groups);
    }
}
