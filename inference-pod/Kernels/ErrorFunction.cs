namespace Moebius.Inference.Kernels;

/// <summary>The error function, which .NET lacks, to double precision. NaN stays NaN.</summary>
internal static class ErrorFunction
{
    /// <summary>
    /// The Maclaurin series (Abramowitz and Stegun 7.1.6) for small arguments, the continued fraction of the
    /// complement (7.1.14) for large ones.
    /// </summary>
    public static double Erf(double x)
    {
        var a = Math.Abs(x);
        if (a > 6)
            return Math.CopySign(1, x);
        if (a < 2.5)
        {
            double term = a, sum = a;
            for (var n = 1; Math.Abs(term) > 1e-17 * Math.Abs(sum) && n < 200; n++)
            {
                term *= 2 * a * a / (2 * n + 1);
                sum += term;
            }
            return Math.CopySign(2 / Math.Sqrt(Math.PI) * Math.Exp(-a * a) * sum, x);
        }
        double fraction = 0;
        for (var n = 60; n > 0; n--)
            fraction = n / 2.0 / (a + fraction);
        return Math.CopySign(1 - Math.Exp(-a * a) / Math.Sqrt(Math.PI) / (a + fraction), x);
    }
}
