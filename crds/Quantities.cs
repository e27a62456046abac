using System.Globalization;
using k8s.Models;

namespace Moebius.Crds;

/// <summary>Kubernetes quantities as numbers of bytes.</summary>
public static class Quantities
{
    /// <summary>The largest quantity: an exbibyte, so that sums of several have room in a 64-bit number.</summary>
    private const long Largest = 1L << 60;

    /// <summary>The quantity in bytes.</summary>
    /// <param name="quantity">For example 512Mi.</param>
    /// <param name="field">Where it stands, for the message.</param>
    /// <exception cref="UserInputException">Negative, fractional or larger than 1Ei.</exception>
    public static long Bytes(ResourceQuantity quantity, string field) => Bytes(quantity.ToDecimal(), quantity.ToString(), field);

    /// <summary>The quantity in bytes.</summary>
    /// <param name="quantity">For example 512Mi.</param>
    /// <param name="field">Where it stands, for the message.</param>
    /// <exception cref="UserInputException">Negative, fractional or larger than 1Ei.</exception>
    public static long Bytes(ByteQuantity quantity, string field) => Bytes(quantity.Value, quantity.ToString(), field);

    private static long Bytes(decimal value, string quantity, string field)
    {
        if (value < 0 || decimal.Truncate(value) != value)
            throw new UserInputException($"{field}: '{quantity}' is not a number of bytes: write a whole, positive quantity such as 512Mi");
        if (value > Largest)
            throw new UserInputException($"{field}: '{quantity}' is more than any machine has: write 1Ei or less");
        return (long)value;
    }

    /// <summary>Parses a quantity, such as <c>512Mi</c> or a plain number of bytes.</summary>
    /// <param name="text">The text.</param>
    /// <param name="field">Where it stands, for the message.</param>
    /// <exception cref="UserInputException">Not a quantity of bytes.</exception>
    public static long ParseBytes(string text, string field)
    {
        try
        {
            return Bytes(new ByteQuantity(text), field);
        }
        catch (FormatException error)
        {
            throw new UserInputException($"{field}: '{text}' is not a quantity: write bytes such as 1048576, or with a unit such as 512Mi or 2Gi", error);
        }
    }

    /// <summary>Bytes with a binary unit and at most one decimal, for people.</summary>
    public static string Format(long bytes)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        var value = (double)bytes;
        var unit = 0;
        while (Math.Abs(value) >= 1024 && unit < units.Length - 1)
        {
            value /= 1024;
            unit++;
        }

        return value.ToString("0.#", CultureInfo.InvariantCulture) + " " + units[unit];
    }
}
