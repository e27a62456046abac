using System.Numerics;
using System.Runtime.CompilerServices;
using Moebius.KvCache.Index;

namespace Moebius.KvCache.Monitoring;

/// <summary>
/// Who hits an entry in one window, in 88 bytes whatever the number of tenants: a bitmap that counts the distinct ones
/// (linear counting), and the four heaviest with lower bounds of their hits (Misra and Gries, 1982). Tenants are known
/// by half of their key.
/// </summary>
internal struct TenantSketch
{
    private const int Bits = 128;
    private const int Heaviest = 4;

    private Tenants _tenants;
    private Counts _counts;
    private ulong _low;
    private ulong _high;

    public int Hits { get; private set; }

    public void Add(TenantKey tenant)
    {
        Hits++;
        var bit = (int)(tenant.Low % Bits);
        if (bit < 64)
            _low |= 1UL << bit;
        else
            _high |= 1UL << (bit - 64);

        var free = -1;
        for (var index = 0; index < Heaviest; index++)
        {
            if (_counts[index] == 0)
            {
                free = index;
            }
            else if (_tenants[index] == tenant.Low)
            {
                _counts[index]++;
                return;
            }
        }

        if (free >= 0)
        {
            (_tenants[free], _counts[free]) = (tenant.Low, 1);
            return;
        }

        for (var index = 0; index < Heaviest; index++)
            _counts[index]--;
    }

    /// <summary>Estimate of the distinct tenants; exact while no two share a bit.</summary>
    public readonly int Distinct()
    {
        var set = BitOperations.PopCount(_low) + BitOperations.PopCount(_high);
        return set == Bits ? int.MaxValue : (int)Math.Round(-Bits * Math.Log((Bits - set) / (double)Bits));
    }

    /// <summary>
    /// Entropy in bits of who hits. What the heaviest do not account for counts as spread evenly over the other tenants:
    /// an estimate from above, so that ordinary use does not look like probing.
    /// </summary>
    public readonly double Entropy()
    {
        if (Hits == 0)
            return 0;
        var (rest, others, entropy) = (Hits, (double)Distinct(), 0d);
        for (var index = 0; index < Heaviest; index++)
        {
            var share = _counts[index] / (double)Hits;
            if (share == 0)
                continue;
            entropy -= share * Math.Log2(share);
            rest -= _counts[index];
            others--;
        }

        var left = rest / (double)Hits;
        return rest == 0 ? entropy : entropy - (left * Math.Log2(left / Math.Clamp(others, 1, rest)));
    }

    /// <summary>Tenants that make at least a quarter of the hits, each by half of its key.</summary>
    public readonly ulong[] Heavy()
    {
        var heavy = new List<ulong>();
        for (var index = 0; index < Heaviest; index++)
        {
            if (_counts[index] > 0 && _counts[index] * 4L >= Hits)
                heavy.Add(_tenants[index]);
        }

        return [.. heavy];
    }

    [InlineArray(Heaviest)]
    private struct Tenants
    {
        private ulong _first;
    }

    [InlineArray(Heaviest)]
    private struct Counts
    {
        private int _first;
    }
}
