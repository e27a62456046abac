namespace Moebius.Inference.Engine;

/// <summary>Is told what happens, for metrics. Called on the engine's thread: must be quick and must not throw.</summary>
internal interface IEngineObserver
{
    /// <summary>A first token, this long after its request came in: the prompt has been computed, but for what was cached or shared; both in tokens.</summary>
    void FirstToken(TimeSpan sinceArrival, int prompt, int cached);

    /// <summary>The prompt of a sequence that generates nothing has been computed, but for what was cached or shared; both in tokens.</summary>
    void PromptOnly(int prompt, int cached);

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
    void Finished(FinishReason reason, SequenceTokens tokens, TimeSpan sinceArrival);

    /// <summary>All outputs of a prompt ended: how many they are, and the tokens of the longest.</summary>
    void Answered(int choices, int longest);

    /// <summary>A sequence that had tokens ended: from its beginning to the first one, and from there to the last of them.</summary>
    void Computed(TimeSpan prefill, TimeSpan decode, int generatedTokens);

    /// <summary>What there is after a step.</summary>
    void Load(int running, int waiting, double kvUsage);
}

/// <summary>Tokens of a sequence that ended.</summary>
/// <param name="Prompt">Of its prompt.</param>
/// <param name="Cached">Those of them that it did not compute.</param>
/// <param name="Generated">Of its output.</param>
/// <param name="Most">What its output was limited to.</param>
internal readonly record struct SequenceTokens(int Prompt, int Cached, int Generated, int Most);
