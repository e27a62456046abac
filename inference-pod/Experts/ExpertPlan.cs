namespace Moebius.Inference.Experts;

/// <summary>One expert's rows in a step.</summary>
/// <param name="Expert">Index within the layer.</param>
/// <param name="First">First row.</param>
/// <param name="Count">Rows.</param>
internal readonly record struct ExpertGroup(int Expert, int First, int Count);

/// <summary>A step's routing in one layer, sorted by expert.</summary>
/// <param name="Groups">One per expert in use.</param>
/// <param name="Slots">For each row, the (token, choice) slot that it serves.</param>
/// <param name="RowOf">For each slot, its row.</param>
internal sealed record ExpertPlan(IReadOnlyList<ExpertGroup> Groups, int[] Slots, int[] RowOf)
{
    /// <param name="chosen">For each slot, the expert.</param>
    /// <param name="experts">Experts of the layer.</param>
    public static ExpertPlan Group(ReadOnlySpan<int> chosen, int experts)
    {
        int[] counts = new int[experts];
        foreach (int expert in chosen)
            counts[expert]++;
        var groups = new List<ExpertGroup>();
        int[] next = new int[experts];
        int row = 0;
        for (int expert = 0; expert < experts; expert++)
        {
            if (counts[expert] == 0)
                continue;
            groups.Add(new ExpertGroup(expert, row, counts[expert]));
            next[expert] = row;
            row += counts[expert];
        }
        int[] slots = new int[chosen.Length], rowOf = new int[chosen.Length];
        for (int slot = 0; slot < chosen.Length; slot++)
        {
            int at = next[chosen[slot]]++;
            slots[at] = slot;
            rowOf[slot] = at;
        }
        return new ExpertPlan(groups, slots, rowOf);
    }
}
