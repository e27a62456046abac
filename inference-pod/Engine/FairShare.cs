using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Moebius.Inference.Engine;

/// <summary>
/// Tokens served to each party that has something running or waiting (virtual token counter). A party that comes back
/// starts level with the least served one: idling earns no credit.
/// </summary>
internal sealed class FairShare
{
    private readonly Dictionary<string, long> served = [];
    private readonly Dictionary<string, int> sequences = [];

    /// <summary>As it stands; it changes with every call.</summary>
    public IReadOnlyDictionary<string, long> Served => served;

    public void Join(string party)
    {
        served.TryAdd(party, served.Count == 0 ? 0 : served.Values.Min());
        sequences[party] = sequences.GetValueOrDefault(party) + 1;
    }

    public void Charge(string party, int tokens)
    {
        ref var entry = ref CollectionsMarshal.GetValueRefOrNullRef(served, party);
        if (!Unsafe.IsNullRef(ref entry))
            entry += tokens;
    }

    public void Leave(string party)
    {
        if (!sequences.TryGetValue(party, out var left))
            return;
        if (left > 1)
        {
            sequences[party] = left - 1;
            return;
        }

        sequences.Remove(party);
        served.Remove(party);
    }
}
