namespace Moebius.Inference.Engine;

/// <summary>Tells an observer when a step's tokens came. The later tokens mostly follow those of one earlier step: they are told together.</summary>
/// <param name="observer">Is told.</param>
/// <param name="clock">Of the times.</param>
/// <param name="now">When the step's tokens came.</param>
internal ref struct TokenTimes(IEngineObserver observer, TimeProvider clock, long now)
{
    private long _last;
    private int _together;

    /// <summary>A sequence has taken a token now, or has ended without one.</summary>
    public void Add(RunningSequence sequence)
    {
        if (sequence.Generated == 0)
        {
            observer.PromptOnly(sequence.Request.Prompt.Length, sequence.Generation.CachedTokens);
            return;
        }

        if (sequence.Generated == 1)
        {
            observer.FirstToken(clock.GetElapsedTime(sequence.Arrived, now), sequence.Request.Prompt.Length, sequence.Generation.CachedTokens);
            return;
        }

        if (sequence.LastToken != _last)
            Tell();
        _last = sequence.LastToken;
        _together++;
    }

    /// <summary>Tells what has not been told yet.</summary>
    public void Tell()
    {
        if (_together > 0)
            observer.NextTokens(clock.GetElapsedTime(_last, now), _together);
        _together = 0;
    }
}
