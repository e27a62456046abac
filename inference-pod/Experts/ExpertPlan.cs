namespace Moebius.Inference.Experts;

/// <summary>One expert's rows in a step.</summary>
/// <param name="Expert">Index within the layer.</param>
/// <param name="First">First row.</param>
/// <param name="Count">Rows.</param>
/// <param name="Resident">It needs no load.</param>
internal readonly record struct ExpertGroup(int Expert, int First, int Count, bool Resident);

/// <summary>
/// A step's routing in one layer, sorted by expert: resident experts first, then the others, so that loads begin
/// after everything that needs none.
/// </summary>
/// <param name="Groups">One per expert in use.</param>
/// <param name="Slots">For each row, the (token, choice) slot that it serves.</param>
/// <param name="RowOf">For each slot, its row.</param>
internal sealed record ExpertPlan(IReadOnlyList<ExpertGroup> Groups, int[] Slots, int[] RowOf)
{
    /// <param name="chosen">For each slot, the expert.</param>
    /// <param name="experts">Experts of the layer.</param>
    /// <param name="isResident">Whether an expert is in the fast tier now.</param>
    public static ExpertPlan Group(ReadOnlySpan<int> chosen, int experts, Func<int, bool> isResident)
    {
        int[] counts = new int[experts];
        foreach (int expert in chosen)
            counts[expert]++;
        var resident = new List<ExpertGroup>();
        var missing = new List<ExpertGroup>();
        for (int expert = 0; expert < experts; expert++)
        {
            if (counts[expert] == 0)
                continue;
            bool here = isResident(expert);
            (here ? resident : missing).Add(new ExpertGroup(expert, 0, counts[expert], here));
        }
        resident.AddRange(missing);
        int[] next = new int[experts];
        int row = 0;
        for (int i = 0; i < resident.Count; i++)
        {
            resident[i] = resident[i] with { First = row };
            next[resident[i].Expert] = row;
            row += resident[i].Count;
        }
        int[] slots = new int[chosen.Length], rowOf = new int[chosen.Length];
        for (int slot = 0; slot < chosen.Length; slot++)
        {
            int at = next[chosen[slot]]++;
            slots[at] = slot;
            rowOf[slot] = at;
        }
        return new ExpertPlan(resident, slots, rowOf);
    }
}
