using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Moebius.Inference.Engine;

/// <summary>
/// Tokens served to each party that has something running or waiting (virtual token counter). A party that comes back
/// starts level with the least served one: idling earns no credit.
/// </summary>
internal sealed class FairShare
{
    private readonly Dictionary<string, long> _served = [];
    private readonly Dictionary<string, int> _sequences = [];

    /// <summary>As it stands; it changes with every call.</summary>
    public IReadOnlyDictionary<string, long> Served => _served;

    public void Join(string party)
    {
        _served.TryAdd(party, _served.Count == 0 ? 0 : _served.Values.Min());
        _sequences[party] = _sequences.GetValueOrDefault(party) + 1;
    }

    public void Charge(string party, int tokens)
    {
        ref var entry = ref CollectionsMarshal.GetValueRefOrNullRef(_served, party);
        if (!Unsafe.IsNullRef(ref entry))
            entry += tokens;
    }

    public void Leave(string party)
    {
        if (!_sequences.TryGetValue(party, out var left))
            return;
        if (left > 1)
        {
            _sequences[party] = left - 1;
            return;
        }

        _sequences.Remove(party);
        _served.Remove(party);
    }
}
