using System.Numerics;
using Moebius.KvCache.Index;

namespace Moebius.KvCache.Monitoring;

/// <summary>
/// Who hits an entry in one window, in about a hundred bytes whatever the number of tenants: a bitmap that counts the
/// distinct ones (linear counting), and the four heaviest with lower bounds of their hits (Misra and Gries, 1982).
/// </summary>
internal sealed class TenantSketch
{
    private const int Bits = 128;
    private const int Heaviest = 4;

    private readonly (TenantKey Tenant, int Hits)[] _heavy = new (TenantKey, int)[Heaviest];
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
            if (_heavy[index].Hits == 0)
                free = index;
            else if (_heavy[index].Tenant == tenant)
            {
                _heavy[index].Hits++;
                return;
            }
        }

        if (free >= 0)
        {
            _heavy[free] = (tenant, 1);
            return;
        }

        for (var index = 0; index < Heaviest; index++)
            _heavy[index].Hits--;
    }

    /// <summary>Estimate of the distinct tenants; exact while no two share a bit.</summary>
    public int Distinct()
    {
        var set = BitOperations.PopCount(_low) + BitOperations.PopCount(_high);
        return set == Bits ? int.MaxValue : (int)Math.Round(-Bits * Math.Log((Bits - set) / (double)Bits));
    }

    /// <summary>Entropy in bits of who hits; what the heaviest do not account for counts as one tenant.</summary>
    public double Entropy()
    {
        var rest = Hits;
        var entropy = 0d;
        foreach (var (_, hits) in _heavy)
        {
            entropy += Term(hits);
            rest -= hits;
        }

        return entropy + Term(rest);

        double Term(int hits) => hits <= 0 ? 0 : -(hits / (double)Hits) * Math.Log2(hits / (double)Hits);
    }

    /// <summary>Tenants that make at least a quarter of the hits.</summary>
    public TenantKey[] Heavy() => [.. _heavy.Where(entry => entry.Hits > 0 && entry.Hits * 4 >= Hits).Select(entry => entry.Tenant)];
}
