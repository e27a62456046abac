namespace Moebius.Inference.Experts;

/// <summary>One expert's rows in a step.</summary>
/// <param name="Expert">Index within the layer.</param>
/// <param name="First">First row.</param>
/// <param name="Count">Rows.</param>
internal readonly record struct ExpertGroup(int Expert, int First, int Count);

/// <summary>A step's routing in one layer, sorted by expert.</summary>
/// <param name="Groups">One per expert in use.</param>
/// <param name="Tokens">For each row, the token that it is of.</param>
/// <param name="RowOf">For each (token, choice) slot, its row.</param>
internal sealed record ExpertPlan(ExpertGroup[] Groups, int[] Tokens, int[] RowOf)
{
    /// <param name="chosen">For each slot, the expert.</param>
    /// <param name="experts">Experts of the layer.</param>
    /// <param name="topK">Slots of a token.</param>
    /// <param name="tokens">Becomes <see cref="Tokens"/>; as long as <paramref name="chosen"/>.</param>
    /// <param name="rowOf">Becomes <see cref="RowOf"/>; as long.</param>
    public static ExpertPlan Group(ReadOnlySpan<int> chosen, int experts, int topK, int[] tokens, int[] rowOf)
    {
        var counts = experts <= 512 ? stackalloc int[experts] : new int[experts];
        counts.Clear();
        var used = 0;
        foreach (var expert in chosen)
            used += counts[expert]++ == 0 ? 1 : 0;
        var groups = new ExpertGroup[used];
        int row = 0, group = 0;
        for (var expert = 0; expert < experts; expert++)
        {
            if (counts[expert] == 0)
                continue;
            groups[group++] = new ExpertGroup(expert, row, counts[expert]);
            row += counts[expert];
            // From now on, the next row of the expert.
            counts[expert] = row - counts[expert];
        }
        for (int token = 0, slot = 0; slot < chosen.Length; token++)
        {
            for (var end = Math.Min(slot + topK, chosen.Length); slot < end; slot++)
            {
                var at = counts[chosen[slot]]++;
                tokens[at] = token;
                rowOf[slot] = at;
            }
        }
        return new ExpertPlan(groups, tokens, rowOf);
    }
}
