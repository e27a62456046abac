namespace Moebius.Inference.Engine;

/// <summary>Tells an observer when tokens came. A step's later tokens mostly follow those of one earlier step: they are told together.</summary>
internal static class TokenTimes
{
    /// <param name="observer">Is told.</param>
    /// <param name="clock">Of the times.</param>
    /// <param name="sequences">Each has taken a token now.</param>
    /// <param name="now">When.</param>
    public static void Observe(IEngineObserver observer, TimeProvider clock, IEnumerable<RunningSequence> sequences, long now)
    {
        long last = 0;
        var together = 0;
        foreach (var sequence in sequences)
        {
            if (sequence.Generated == 1)
            {
                observer.FirstToken(clock.GetElapsedTime(sequence.Arrived, now));
                continue;
            }

            if (together > 0 && sequence.LastToken != last)
            {
                observer.NextTokens(clock.GetElapsedTime(last, now), together);
                together = 0;
            }

            last = sequence.LastToken;
            together++;
        }

        if (together > 0)
            observer.NextTokens(clock.GetElapsedTime(last, now), together);
    }
}
