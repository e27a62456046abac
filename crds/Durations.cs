using System.Globalization;
using System.Text.RegularExpressions;

namespace Moebius.Crds;

/// <summary>Durations as the API writes them: whole numbers with units, largest first, as in <c>1h30m</c> or <c>250ms</c>.</summary>
public static partial class Durations
{
    /// <summary>The pattern in the schema of every duration field.</summary>
    public const string Pattern = "^([0-9]{1,7}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$";

    /// <summary>Parses a duration.</summary>
    /// <param name="value">The text.</param>
    /// <param name="field">Where it stands, for the message.</param>
    /// <exception cref="UserInputException">The text is not a duration.</exception>
    public static TimeSpan Parse(string value, string field)
    {
        var match = Expression().Match(value);
        if (value.Length == 0 || !match.Success)
            throw new UserInputException($"{field}: '{value}' is not a duration: write whole numbers with units, largest first, such as 1h30m, 60s or 250ms");
        return TimeSpan.FromHours(Part(match, 1)) + TimeSpan.FromMinutes(Part(match, 2))
            + TimeSpan.FromSeconds(Part(match, 3)) + TimeSpan.FromMilliseconds(Part(match, 4));
    }

    /// <summary>Parses a duration that may not be zero.</summary>
    /// <param name="value">The text.</param>
    /// <param name="field">Where it stands, for the message.</param>
    /// <exception cref="UserInputException">The text is not a duration, or is one of zero.</exception>
    public static TimeSpan ParsePositive(string value, string field) => Parse(value, field) is var parsed && parsed > TimeSpan.Zero
        ? parsed
        : throw new UserInputException($"{field}: '{value}' must be longer than 0s");

    private static long Part(Match match, int group) =>
        match.Groups[group] is { Success: true, Value: var text }
            ? long.Parse(text.AsSpan().TrimEnd("hms"), CultureInfo.InvariantCulture)
            : 0;

    [GeneratedRegex(Pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex Expression();
}
