using System.Globalization;
using Moebius.Crds;

namespace Moebius.Bench;

/// <summary>Numbers that environment variables set.</summary>
internal static class Setting
{
    /// <param name="variable">Its name.</param>
    /// <param name="otherwise">What counts where it is not set, or empty.</param>
    /// <param name="least">The smallest that it may be.</param>
    /// <exception cref="UserInputException">It is set to something else than such a number.</exception>
    public static int Number(string variable, int otherwise, int least = 0) =>
        Environment.GetEnvironmentVariable(variable) is not { Length: > 0 } text ? otherwise
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least ? number
        : throw new UserInputException($"{variable}: '{text}' is no number from {least} on");
}
