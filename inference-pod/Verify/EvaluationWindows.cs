namespace Moebius.Inference.Verify;

/// <summary>A stretch of a text that is given to the model at once.</summary>
/// <param name="Begin">Its first token.</param>
/// <param name="End">Past its last token.</param>
/// <param name="Scored">The first token whose prediction counts; those before it are context only.</param>
internal readonly record struct EvaluationWindow(int Begin, int End, int Scored);

/// <summary>
/// Cuts a text into windows that begin <c>stride</c> tokens apart; each scores the tokens that no window before it has
/// scored. A window's own first token has nothing before it and is never scored, so that with a stride below the window
/// every token but the text's first counts once, and with a stride equal to the window one token of each window is
/// left out.
/// </summary>
internal static class EvaluationWindows
{
    /// <param name="tokens">Tokens of the text, at least 2.</param>
    /// <param name="window">Tokens of a window, at least 2.</param>
    /// <param name="stride">From 1 to the window.</param>
    public static IEnumerable<EvaluationWindow> Plan(int tokens, int window, int stride)
    {
        var scored = 0;
        for (var begin = 0; scored < tokens; begin += stride)
        {
            var end = Math.Min(tokens, begin + window);
            var first = Math.Max(scored, begin + 1);
            if (first < end)
                yield return new EvaluationWindow(begin, end, first);
            scored = end;
        }
    }
}
