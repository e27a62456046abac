namespace Moebius.Bench;

/// <summary>Where generated models and programs of others are kept between runs.</summary>
internal static class BenchCache
{
    /// <summary>MOEBIUS_CACHE, else XDG_CACHE_HOME/moebius, else ~/.cache/moebius.</summary>
    public static string Root { get; } =
        NonEmpty("MOEBIUS_CACHE")
        ?? Path.Combine(NonEmpty("XDG_CACHE_HOME") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"), "moebius");

    public static string Models => Path.Combine(Root, "bench");

    private static string? NonEmpty(string variable) => Environment.GetEnvironmentVariable(variable) is { Length: > 0 } value ? value : null;
}
