namespace Moebius.Bench;

/// <summary>Where generated models are kept between runs.</summary>
internal static class BenchCache
{
    public static string Models => Path.Combine(MoebiusCache.Root, "bench");
}
