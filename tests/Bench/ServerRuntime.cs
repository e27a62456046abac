using System.Diagnostics;

namespace Moebius.Bench;

/// <summary>
/// Runs what is measured in this process as the programs run it, and not as .NET does unless told otherwise: they collect no
/// profile for code to be compiled by again, and have no collector beside their threads (cli/Moebius.Cli.csproj).
/// </summary>
internal static class ServerRuntime
{
    private static readonly (string Variable, string Value)[] Settings = [("DOTNET_TieredPGO", "0"), ("DOTNET_gcConcurrent", "0")];

    /// <summary>Whether this process has been told, by <see cref="RunAsync"/> or by a person who tries other settings.</summary>
    public static bool IsSet => Settings.All(setting => Environment.GetEnvironmentVariable(setting.Variable) is not null);

    /// <summary>What a report says of it.</summary>
    public static string Line => $"Runtime: {string.Join(", ", Settings.Select(setting => $"{setting.Variable}={Environment.GetEnvironmentVariable(setting.Variable)}"))}; the programs have {string.Join(" and ", Settings.Select(setting => setting.Value))}.";

    /// <summary>Runs this program again with these settings.</summary>
    /// <returns>Its exit code.</returns>
    public static async Task<int> RunAsync(string[] args)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!, args);
        foreach (var (variable, value) in Settings)
            start.Environment.TryAdd(variable, value);
        using var process = Process.Start(start)!;
        await process.WaitForExitAsync();
        return process.ExitCode;
    }
}
