namespace Moebius.Cxl.Policy;

/// <summary>
/// Bandwidth of a memory link as a function of the share of reads, between measured points. Full-duplex links peak near
/// the middle; half-duplex memory is nearly flat.
/// </summary>
internal sealed class LinkCurve
{
    private readonly double[] _shares;
    private readonly double[] _bandwidths;
    private readonly List<int> _hull = [];

    /// <summary>Creates a curve from points with ascending shares from 0 to 1 and positive bandwidths (GiB/s).</summary>
    public LinkCurve(string name, IReadOnlyList<double> shares, IReadOnlyList<double> bandwidths)
    {
        if (shares.Count < 2 || shares.Count != bandwidths.Count || shares[0] != 0 || shares[^1] != 1 || shares.Zip(shares.Skip(1)).Any(pair => pair.First >= pair.Second) || bandwidths.Any(value => !(value > 0)))
            throw new ArgumentException($"the curve {name} needs ascending shares from 0 to 1 and a positive bandwidth for each", nameof(shares));
        Name = name;
        _shares = [.. shares];
        _bandwidths = [.. bandwidths];
        for (var i = 0; i < _shares.Length; i++)
        {
            while (_hull.Count >= 2 && !Above(_hull[^2], _hull[^1], i))
                _hull.RemoveAt(_hull.Count - 1);
            _hull.Add(i);
        }
    }

    // CXLAimPod (arXiv 2508.15980), random access, 172 threads.
    private static readonly double[] MeasuredShares = [0, .15, .25, .35, .45, .5, .55, .65, .75, .85, .95, 1];

    /// <summary>The paper's DDR5 node: half duplex.</summary>
    public static LinkCurve Ddr5 { get; } = new("ddr5", MeasuredShares, [149.3, 162.7, 172.5, 181.6, 184.4, 181.3, 171.4, 152.0, 146.1, 149.5, 152.8, 150.1]);

    /// <summary>The paper's first CXL node.</summary>
    public static LinkCurve CxlA { get; } = new("cxl-a", MeasuredShares, [21.7, 24.7, 27.0, 29.8, 32.8, 33.6, 33.6, 31.4, 22.4, 22.7, 23.1, 23.3]);

    /// <summary>The paper's second CXL node.</summary>
    public static LinkCurve CxlB { get; } = new("cxl-b", MeasuredShares, [35.0, 39.6, 44.0, 48.4, 53.4, 55.9, 56.4, 50.5, 46.6, 46.5, 46.7, 46.9]);

    /// <summary>The published curves.</summary>
    public static IReadOnlyList<LinkCurve> Published { get; } = [Ddr5, CxlA, CxlB];

    /// <summary>A name for reports.</summary>
    public string Name { get; }

    /// <summary>The share of reads with the most bandwidth.</summary>
    public double BestShare => _shares[Array.IndexOf(_bandwidths, _bandwidths.Max())];

    /// <summary>Bandwidth (GiB/s) at a share of reads, 0 to 1.</summary>
    public double At(double readShare)
    {
        var share = Math.Clamp(readShare, 0, 1);
        var upper = Math.Clamp(Array.FindIndex(_shares, point => point >= share), 1, _shares.Length - 1);
        return Interpolate(upper - 1, upper, share);
    }

    /// <summary>
    /// The most bandwidth that alternating between two shares can reach at an average share of reads <b>in time</b>: the
    /// curve's upper concave envelope. Gives the two shares and the fraction of time at the first.
    /// </summary>
    public (double First, double Second, double FractionFirst, double Bandwidth) Envelope(double readShare)
    {
        var share = Math.Clamp(readShare, 0, 1);
        var position = Math.Clamp(_hull.FindIndex(index => _shares[index] >= share), 1, _hull.Count - 1);
        var (low, high) = (_hull[position - 1], _hull[position]);
        var fraction = (_shares[high] - share) / (_shares[high] - _shares[low]);
        return (_shares[low], _shares[high], fraction, Interpolate(low, high, share));
    }

    private bool Above(int left, int middle, int right) =>
        _bandwidths[middle] > Interpolate(left, right, _shares[middle]) + 1e-12;

    private double Interpolate(int low, int high, double share) =>
        _bandwidths[low] + (_bandwidths[high] - _bandwidths[low]) * (share - _shares[low]) / (_shares[high] - _shares[low]);
}
