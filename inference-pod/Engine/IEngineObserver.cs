namespace Moebius.Inference.Engine;

/// <summary>Is told what happens, for metrics. Called on the engine's thread: must be quick and must not throw.</summary>
internal interface IEngineObserver
{
    /// <summary>A first token, this long after its request came in.</summary>
    void FirstToken(TimeSpan sinceArrival);

    /// <summary>Later tokens of a step, each this long after the one before it.</summary>
    void NextTokens(TimeSpan sinceLast, int tokens);

    /// <summary>A sequence began, after waiting this long.</summary>
    void Started(TimeSpan waited);

    /// <summary>A cached prefix was looked for; both in tokens.</summary>
    void PrefixLookup(int queried, int found);

    /// <summary>A sequence took this many tokens from another one that had just computed them.</summary>
    void PrefillShared(int tokens);

    /// <summary>A sequence lost its memory and will be recomputed.</summary>
    void Preempted();

    /// <summary>A step computed this many tokens.</summary>
    void Step(int tokens, TimeSpan duration);

    /// <summary>A sequence ended.</summary>
    void Finished(FinishReason reason, int promptTokens, int cachedTokens, int generatedTokens, TimeSpan sinceArrival);

    /// <summary>A sequence that had a token ended: from its beginning to the first one, and from there to the last.</summary>
    void Computed(TimeSpan prefill, TimeSpan decode);

    /// <summary>What there is after a step.</summary>
    void Load(int running, int waiting, double kvUsage);
}
