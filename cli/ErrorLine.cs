namespace Moebius.Cli;

/// <summary>How an error is shown: as one line, which cannot do anything to the terminal that shows it.</summary>
internal static class ErrorLine
{
    /// <summary>Longer errors lose their middle.</summary>
    private const int MostCharacters = 4000;

    /// <summary>Errors quote names out of files that somebody else made, such as a tensor's.</summary>
    /// <param name="message">What is wrong.</param>
    public static string Of(string message) =>
        $"moebius: {string.Concat(Shortened(message).ReplaceLineEndings(" ").Select(static character => char.IsControl(character) ? '\uFFFD' : character))}";

    private static string Shortened(string message) =>
        message.Length <= MostCharacters ? message : $"{message[..(MostCharacters / 2)]} ... {message[^(MostCharacters / 2)..]}";
}
