using Moebius.Inference.Experts;

namespace Moebius.Inference.Tests.Experts;

public class ExpertPlanTests
{
    [Property]
    public void Rows_are_a_permutation_sorted_by_expert(byte[] routing)
    {
        int[] chosen = [.. routing.Select(b => b % 8)];
        var plan = ExpertPlan.Group(chosen, 8, 3, new int[chosen.Length], new int[chosen.Length]);
        Assert.Equal(Enumerable.Range(0, chosen.Length), plan.RowOf.Order());
        var row = 0;
        foreach (var group in plan.Groups)
        {
            Assert.Equal(row, group.First);
            for (; row < group.First + group.Count; row++)
            {
                var slot = Array.IndexOf(plan.RowOf, row);
                Assert.Equal(group.Expert, chosen[slot]);
                Assert.Equal(slot / 3, plan.Tokens[row]);
            }
        }
        Assert.Equal(chosen.Length, row);
        Assert.Equal(plan.Groups.OrderBy(g => g.Expert), plan.Groups);
    }
}
