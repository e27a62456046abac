namespace Moebius.PromptOptimizer.Models.Clip;

/// <summary>Filters for scaling.</summary>
internal enum ScalingFilter
{
    /// <summary>A triangle.</summary>
    Bilinear,

    /// <summary>The cubic of Keys with a = -1/2.</summary>
    Bicubic,
}

/// <summary>
/// Scales as Pillow does, to the bit: CLIP was trained behind it. (Newer versions of Pillow go down first where that is less
/// work, and may differ by 1 of 255.) The filter is widened by the scale when an image
/// shrinks; one that is not skips pixels of large images, and CLIP's judgement with them. First across, then down, rounded to
/// bytes after each.
/// </summary>
internal static class PillowScaling
{
    /// <summary>Bits behind the point of the weights.</summary>
    private const int Fraction = 32 - 8 - 2;

    /// <summary>Bytes of a pixel that comes, and of one that goes.</summary>
    private const int From = 4, To = 3;

    /// <summary>The part of a scaled image that begins at a place, as red, green and blue.</summary>
    /// <param name="pixels">Red, green, blue and one byte more for each pixel.</param>
    /// <param name="width">Its width.</param>
    /// <param name="height">Its height.</param>
    /// <param name="scaled">The whole image's size after scaling.</param>
    /// <param name="place">Left and top of the part.</param>
    /// <param name="part">Its size.</param>
    /// <param name="filter">The filter.</param>
    public static byte[] Scale(
        ReadOnlySpan<byte> pixels, int width, int height, (long Width, long Height) scaled, (long Left, long Top) place, (int Width, int Height) part, ScalingFilter filter)
    {
        var columns = Weights(width, scaled.Width, place.Left, part.Width, filter);
        var rows = Weights(height, scaled.Height, place.Top, part.Height, filter);
        // No other rows are looked at.
        var (first, end) = (rows[0].Start, rows.Max(row => row.Start + row.Factors.Length));
        var across = new byte[(end - first) * part.Width * To];
        for (var row = first; row < end; row++)
            Across(pixels.Slice(row * width * From, width * From), columns, across.AsSpan((row - first) * part.Width * To));
        var result = new byte[part.Width * part.Height * To];
        var line = part.Width * To;
        for (var row = 0; row < part.Height; row++)
        {
            var (start, factors) = rows[row];
            for (var value = 0; value < line; value++)
            {
                var sum = 1 << (Fraction - 1);
                for (var index = 0; index < factors.Length; index++)
                    sum += factors[index] * across[((start - first + index) * line) + value];
                result[(row * line) + value] = Byte(sum);
            }
        }

        return result;
    }

    private static void Across(ReadOnlySpan<byte> row, (int Start, int[] Factors)[] columns, Span<byte> result)
    {
        for (var column = 0; column < columns.Length; column++)
        {
            var (start, factors) = columns[column];
            int red = 1 << (Fraction - 1), green = red, blue = red;
            for (var index = 0; index < factors.Length; index++)
            {
                var pixel = row.Slice((start + index) * From, To);
                red += factors[index] * pixel[0];
                green += factors[index] * pixel[1];
                blue += factors[index] * pixel[2];
            }

            (result[column * To], result[(column * To) + 1], result[(column * To) + 2]) = (Byte(red), Byte(green), Byte(blue));
        }
    }

    /// <summary>The pixels behind each wanted one, and their weights.</summary>
    private static (int Start, int[] Factors)[] Weights(int size, long scaled, long first, int count, ScalingFilter filter)
    {
        var scale = (double)size / scaled;
        var widened = Math.Max(scale, 1);
        var support = widened * (filter == ScalingFilter.Bicubic ? 2 : 1);
        return [.. Enumerable.Range(0, count).Select(index =>
        {
            var center = (first + index + 0.5) * scale;
            var start = Math.Max(0, (int)(center - support + 0.5));
            var end = Math.Min(size, (int)(center + support + 0.5));
            double[] factors = [.. Enumerable.Range(start, end - start).Select(source => Weight(filter, Math.Abs((source - center + 0.5) * (1 / widened))))];
            var sum = factors.Sum();
            return (start, factors.Select(factor => (int)Math.Round(factor / sum * (1 << Fraction), MidpointRounding.AwayFromZero)).ToArray());
        })];
    }

    private static double Weight(ScalingFilter filter, double x) => filter == ScalingFilter.Bilinear
        ? Math.Max(0, 1 - x)
        : x switch
        {
            < 1 => (((1.5 * x) - 2.5) * x * x) + 1,
            < 2 => ((((x - 5) * x) + 8) * x - 4) * -0.5,
            _ => 0,
        };

    private static byte Byte(int sum) => (byte)Math.Clamp(sum >> Fraction, 0, 255);
}
