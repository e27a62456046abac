using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Moebius.Inference.Engine;

/// <summary>
/// Tokens served to each party that has something running or waiting (virtual token counter). A party that comes back
/// starts level with the least served one: idling earns no credit.
/// </summary>
internal sealed class FairShare
{
    private readonly Dictionary<string, (long Served, int Sequences)> parties = [];

    public IReadOnlyDictionary<string, long> Served => parties.ToDictionary(party => party.Key, party => party.Value.Served);

    public void Join(string party)
    {
        if (!parties.TryGetValue(party, out var entry))
            entry = (parties.Count == 0 ? 0 : parties.Values.Min(other => other.Served), 0);
        parties[party] = (entry.Served, entry.Sequences + 1);
    }

    public void Charge(string party, int tokens)
    {
        ref var entry = ref CollectionsMarshal.GetValueRefOrNullRef(parties, party);
        if (!Unsafe.IsNullRef(ref entry))
            entry.Served += tokens;
    }

    public void Leave(string party)
    {
        if (!parties.TryGetValue(party, out var entry))
            return;
        if (entry.Sequences <= 1)
            parties.Remove(party);
        else
            parties[party] = (entry.Served, entry.Sequences - 1);
    }
}
