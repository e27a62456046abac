namespace Moebius.Tests;

/// <summary>Where programs of others and generated models are kept between runs.</summary>
internal static class MoebiusCache
{
    /// <summary>MOEBIUS_CACHE, else XDG_CACHE_HOME/moebius, else ~/.cache/moebius.</summary>
    public static string Root { get; } =
        NonEmpty("MOEBIUS_CACHE")
        ?? Path.Combine(NonEmpty("XDG_CACHE_HOME") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"), "moebius");

    private static string? NonEmpty(string variable) => Environment.GetEnvironmentVariable(variable) is { Length: > 0 } value ? value : null;
}
