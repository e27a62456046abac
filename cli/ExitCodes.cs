namespace Moebius.Cli;

/// <summary>What the process says to the shell.</summary>
internal static class ExitCodes
{
    /// <summary>The work was done in vain, or could not be.</summary>
    public const int Failed = 1;

    /// <summary>The input was wrong; one line on standard error says what and how.</summary>
    public const int BadInput = 2;

    /// <summary>Stopped by a signal before it was done.</summary>
    public const int Interrupted = 130;
}
