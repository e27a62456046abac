using System.Text.RegularExpressions;

namespace Moebius.Inference.Text.Tokenization;

/// <summary>
/// How long the expressions of a tokenizer may take with a text. Published ones are linear, or nearly; one with quantifiers in
/// one another takes hours with some texts, and would keep its thread.
/// </summary>
internal readonly struct PatternTime
{
    private readonly long _end;

    /// <summary>Begins now.</summary>
    public PatternTime() => _end = Environment.TickCount64 + (long)Most.TotalMilliseconds;

    private PatternTime(long end) => _end = end;

    /// <summary>Has no end, but for that of each match and of each lot of matches: for texts that nobody waits behind.</summary>
    public static PatternTime OfOneMatch { get; } = new(long.MaxValue);

    /// <summary>Of one match, and of all matches in a text.</summary>
    public static TimeSpan Most { get; } = TimeSpan.FromSeconds(10);

    /// <exception cref="RegexMatchTimeoutException">The time is over.</exception>
    public void Check()
    {
        if (Environment.TickCount64 > _end)
            throw new RegexMatchTimeoutException();
    }
}
