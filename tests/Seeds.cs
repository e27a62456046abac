using System.Globalization;
using System.Runtime.CompilerServices;
using FsCheck;

namespace Moebius.Tests;

/// <summary>
/// Where all that is random in tests begins: the same in each run, so that a rare input fails the change that it is about and no other.
/// <c>MOEBIUS_TEST_SEED</c> chooses another begin: a number, or <c>random</c> for a new one.
/// </summary>
internal static class Seeds
{
    private const string Variable = "MOEBIUS_TEST_SEED";

    /// <summary>The second half of a state of FsCheck's generator; any odd number.</summary>
    private const ulong Gamma = 0x9E3779B97F4A7C15;

    /// <summary>The first number of what FsCheck prints when a property fails: MOEBIUS_TEST_SEED with it repeats the run.</summary>
    public static ulong First { get; } = Environment.GetEnvironmentVariable(Variable) switch
    {
        null or "" => 1,
        "random" => (ulong)System.Random.Shared.NextInt64(),
        var text => ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seed)
            ? seed
            : throw new FormatException($"{Variable} is '{text}'; it has to be a number from 0 to {ulong.MaxValue}, or 'random'"),
    };

    /// <summary>As FsCheck takes it.</summary>
    public static string Replay { get; } = string.Create(CultureInfo.InvariantCulture, $"{First},{Gamma}");

    /// <summary>At the start, where it ends the run: in the attribute the runner would take it for a class that has no such tests.</summary>
    [ModuleInitializer]
    internal static void Check() => _ = First;

    /// <summary>For samples: another for each <paramref name="number"/>.</summary>
    public static Rnd Random(int number) => new(First + (ulong)number, Gamma);
}

/// <summary>What <c>[Property]</c> means in these tests: FsCheck's, from the seed of the run.</summary>
[AttributeUsage(AttributeTargets.Method | AttributeTargets.Property)]
#pragma warning disable xUnit3003 // FsCheck's own has no place for where it stands.
internal sealed class PropertyAttribute : FsCheck.Xunit.PropertyAttribute
{
    public PropertyAttribute() => Replay = Seeds.Replay;
}
