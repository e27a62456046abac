using System.Collections;
using System.Runtime.CompilerServices;
using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

/// <summary>Collects findings of the kinds that the policy wants, in positions of the original text.</summary>
internal sealed class FindingSink(BitArray enabled)
{
    private readonly List<Finding> _findings = [];

    public bool Wants(SecretKind kind) => enabled[(int)kind];

    /// <summary>Adds a finding of a view; false when the policy leaves this kind out.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public bool Add(ScanView view, SecretKind kind, int start, int end)
    {
        if (!Wants(kind))
            return false;
        _findings.Add(new Finding(1, kind.ToString(), view.Origin[start], view.EndOf(end - 1)));
        return true;
    }

    public void Add(Finding finding) => _findings.Add(finding);

    /// <summary>In order of their start; overlapping ones of a kind become one.</summary>
    public IReadOnlyList<Finding> ToList()
    {
        // Start, then the longer one first, as one number: sorting by a comparison takes longer than all scanning.
        var sorted = _findings.ToArray();
        Array.Sort(Array.ConvertAll(sorted, static finding => ((long)finding.Start << 32) | (uint)(int.MaxValue - finding.End)), sorted);
        var merged = new List<Finding>(_findings.Count);
        var last = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var finding in sorted)
        {
            if (last.TryGetValue(finding.Kind, out var index) && finding.Start < merged[index].End)
                merged[index] = merged[index] with { End = Math.Max(merged[index].End, finding.End) };
            else
            {
                last[finding.Kind] = merged.Count;
                merged.Add(finding);
            }
        }

        return merged;
    }
}
