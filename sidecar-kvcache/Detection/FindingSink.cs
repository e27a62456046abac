using System.Collections;
using System.Runtime.CompilerServices;
using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

/// <summary>Collects findings of the kinds that the policy wants, in positions of the original text.</summary>
internal sealed class FindingSink(BitArray enabled)
{
    private static readonly string[] Names = Enum.GetNames<SecretKind>();

    // Of the built-in kinds as numbers: a hostile text has hundreds of thousands.
    private readonly List<(long Order, int End, int Kind)> _found = [];
    private readonly List<Finding> _custom = [];

    public bool Wants(SecretKind kind) => enabled[(int)kind];

    /// <summary>Adds a finding of a view; false when the policy leaves this kind out.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public bool Add(ScanView view, SecretKind kind, int start, int end)
    {
        if (!Wants(kind))
            return false;
        var (from, to) = (view.StartOf(start), view.EndOf(end - 1));
        // Start, then the longer one first, then what was written so, as one number: sorting by a comparison takes longer
        // than all scanning.
        _found.Add((((long)from << 32) | ((uint)(int.MaxValue - to) << 1) | (view.IsRewritten ? 1u : 0u), to, (int)kind));
        return true;
    }

    public void Add(Finding finding) => _custom.Add(finding);

    /// <summary>
    /// In order of their start; overlapping ones of a kind become one. What is found with a disguise taken off, inside
    /// something that was found as it is written, is nothing new.
    /// </summary>
    public IReadOnlyList<Finding> ToList()
    {
        var sorted = _found.ToArray();
        if (!IsSorted(sorted))
            Array.Sort(Array.ConvertAll(sorted, static finding => finding.Order), sorted);
        var merged = new List<(int Start, int End, int Kind)>(sorted.Length);
        Span<int> last = stackalloc int[Names.Length];
        last.Fill(-1);
        var written = 0;
        foreach (var (order, end, kind) in sorted)
        {
            var start = (int)(order >> 32);
            if ((order & 1) == 0)
                written = Math.Max(written, end);
            else if (end <= written)
                continue;
            if (last[kind] >= 0 && start < merged[last[kind]].End)
            {
                merged[last[kind]] = merged[last[kind]] with { End = Math.Max(merged[last[kind]].End, end) };
            }
            else
            {
                last[kind] = merged.Count;
                merged.Add((start, end, kind));
            }
        }

        var findings = merged.ConvertAll(static finding => new Finding(1, Names[finding.Kind], finding.Start, finding.End));
        return _custom.Count == 0 ? findings : [.. findings.Concat(Merge(_custom)).OrderBy(static finding => finding.Start).ThenByDescending(static finding => finding.End)];
    }

    private static bool IsSorted((long Order, int End, int Kind)[] findings)
    {
        for (var index = 1; index < findings.Length; index++)
        {
            if (findings[index].Order < findings[index - 1].Order)
                return false;
        }

        return true;
    }

    private static List<Finding> Merge(List<Finding> findings)
    {
        var merged = new List<Finding>();
        var last = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var finding in findings.OrderBy(static finding => finding.Start).ThenByDescending(static finding => finding.End))
        {
            if (last.TryGetValue(finding.Kind, out var index) && finding.Start < merged[index].End)
            {
                merged[index] = merged[index] with { End = Math.Max(merged[index].End, finding.End) };
            }
            else
            {
                last[finding.Kind] = merged.Count;
                merged.Add(finding);
            }
        }

        return merged;
    }
}
