namespace Moebius.Cxl.Policy;

/// <summary>A runnable thread, as the pairing sees it.</summary>
/// <param name="ReadShare">Its share of reads, 0 to 1.</param>
/// <param name="Demand">Its traffic when nothing limits it; any unit, the same for all.</param>
/// <param name="Runtime">Time it has had, in slices.</param>
/// <param name="Waited">Slices since it last ran.</param>
/// <param name="LatencyClass">It goes first.</param>
internal readonly record struct RunnableThread(double ReadShare, double Demand, int Runtime, int Waited, bool LatencyClass);

/// <summary>
/// Duplex pairing: chooses who runs together so that the mix on the link is where its curve is high, and alternates
/// between two mixes where the curve sags between them (CXLAimPod, arXiv 2508.15980, scheduling of readers beside
/// writers). Time stays fair: a thread may lead by a few slices, and one that has waited as long as the aging limit goes
/// first.
/// </summary>
internal sealed class DuplexPairing(LinkCurve curve, int agingLimit)
{
    /// <summary>Slices that a thread may be ahead of the one that has had least.</summary>
    internal const int MaximumLead = 4;

    private double _credit;

    /// <summary>Picks threads (indices) for the next slice on so many cores.</summary>
    public IReadOnlyList<int> Pick(IReadOnlyList<RunnableThread> threads, int cores)
    {
        var chosen = new List<int>(cores);
        var taken = new bool[threads.Count];
        var (demand, reads) = (0.0, 0.0);
        foreach (var index in Enumerable.Range(0, threads.Count)
            .Where(index => threads[index].LatencyClass || threads[index].Waited >= agingLimit)
            .OrderByDescending(index => threads[index].LatencyClass).ThenByDescending(index => threads[index].Waited).Take(cores))
            Take(index);

        var target = NextTarget(threads);
        var least = threads.Count == 0 ? 0 : threads.Min(thread => thread.Runtime);
        while (chosen.Count < Math.Min(cores, threads.Count))
        {
            var best = -1;
            var bestKey = (Lead: int.MaxValue, Distance: double.MaxValue, Runtime: int.MaxValue);
            for (var i = 0; i < threads.Count; i++)
            {
                if (taken[i])
                    continue;
                var thread = threads[i];
                var total = demand + thread.Demand;
                var distance = total > 0 ? Math.Abs((reads + thread.Demand * thread.ReadShare) / total - target) : 0;
                var lead = Math.Max(0, thread.Runtime - least - MaximumLead);
                // Distances this close make no difference on the link: the one that has had less goes.
                var key = (lead, Math.Round(distance, 2), thread.Runtime);
                if (key.CompareTo(bestKey) < 0)
                    (best, bestKey) = (i, key);
            }

            Take(best);
        }

        return chosen;

        void Take(int index)
        {
            taken[index] = true;
            chosen.Add(index);
            demand += threads[index].Demand;
            reads += threads[index].Demand * threads[index].ReadShare;
        }
    }

    /// <summary>The mix of the next slice: one of the envelope's two, spread evenly over time.</summary>
    private double NextTarget(IReadOnlyList<RunnableThread> threads)
    {
        var demand = threads.Sum(thread => thread.Demand);
        if (demand <= 0)
            return curve.BestShare;
        var (first, second, fraction, _) = curve.Envelope(threads.Sum(thread => thread.Demand * thread.ReadShare) / demand);
        _credit += fraction;
        if (_credit < 1)
            return second;
        _credit -= 1;
        return first;
    }
}
