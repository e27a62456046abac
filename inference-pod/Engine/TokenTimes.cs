namespace Moebius.Inference.Engine;

/// <summary>Tells an observer when a step's tokens came. The later tokens mostly follow those of one earlier step: they are told together.</summary>
/// <param name="observer">Is told.</param>
/// <param name="clock">Of the times.</param>
/// <param name="now">When the step's tokens came.</param>
internal ref struct TokenTimes(IEngineObserver observer, TimeProvider clock, long now)
{
    private long last;
    private int together;

    /// <summary>A sequence has taken a token now.</summary>
    public void Add(RunningSequence sequence)
    {
        if (sequence.Generated == 1)
        {
            observer.FirstToken(clock.GetElapsedTime(sequence.Arrived, now), sequence.Request.Prompt.Length, sequence.Generation.CachedTokens);
            return;
        }

        if (sequence.LastToken != last)
            Tell();
        last = sequence.LastToken;
        together++;
    }

    /// <summary>Tells what has not been told yet.</summary>
    public void Tell()
    {
        if (together > 0)
            observer.NextTokens(clock.GetElapsedTime(last, now), together);
        together = 0;
    }
}
