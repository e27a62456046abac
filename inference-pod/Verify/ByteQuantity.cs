using System.Globalization;
using System.Text.RegularExpressions;

namespace Moebius.Inference.Verify;

/// <summary>Byte counts as plain numbers and as Kubernetes quantities: 1048576, 1Mi, 1.5G, 1e6.</summary>
internal static partial class ByteQuantity
{
    private static readonly Dictionary<string, decimal> s_factors = new(StringComparer.Ordinal)
    {
        [""] = 1,
        ["k"] = 1e3m,
        ["M"] = 1e6m,
        ["G"] = 1e9m,
        ["T"] = 1e12m,
        ["P"] = 1e15m,
        ["E"] = 1e18m,
        ["Ki"] = 1L << 10,
        ["Mi"] = 1L << 20,
        ["Gi"] = 1L << 30,
        ["Ti"] = 1L << 40,
        ["Pi"] = 1L << 50,
        ["Ei"] = 1L << 60,
    };

    public static bool TryParse(string text, out long bytes)
    {
        bytes = 0;
        var match = Pattern().Match(text);
        if (!match.Success || !decimal.TryParse(match.Groups[1].ValueSpan, NumberStyles.Float, CultureInfo.InvariantCulture, out decimal number))
            return false;
        try
        {
            decimal value = number * s_factors[match.Groups[2].Value];
            if (value < 1 || value > long.MaxValue || value != decimal.Truncate(value))
                return false;
            bytes = (long)value;
            return true;
        }
        catch (OverflowException)
        {
            return false;
        }
    }

    [GeneratedRegex(@"^([0-9]+(?:\.[0-9]+)?(?:[eE][0-9]{1,2})?)([kMGTPE]|[KMGTPE]i)?$")]
    private static partial Regex Pattern();
}
