using System.Collections.Frozen;
using System.Threading.Channels;
using Moebius.Inference.Constraints;

namespace Moebius.Inference.Engine;

/// <summary>Whose request it is. Cached state is never shared past this.</summary>
/// <param name="Name">As the gateway named it; for an anonymous request a fresh random identity.</param>
/// <param name="Anonymous">Nobody was named.</param>
internal sealed record Tenant(string Name, bool Anonymous)
{
    /// <summary>An identity that no other request has.</summary>
    public static Tenant Unknown() => new(Guid.NewGuid().ToString("N"), true);

    /// <summary>What fairness counts under: all anonymous requests together are one party.</summary>
    public string Party => Anonymous ? "" : Name;
}

/// <summary>How the next token is chosen.</summary>
internal sealed record SamplingSettings
{
    /// <summary>0 is greedy.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Keep the likeliest tokens up to this mass, (0, 1].</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Keep this many of the likeliest tokens; 0 keeps all.</summary>
    public int TopK { get; init; }

    /// <summary>Drop tokens less likely than this fraction of the likeliest, [0, 1].</summary>
    public double MinP { get; init; }

    /// <summary>Taken off every token that was generated already.</summary>
    public double PresencePenalty { get; init; }

    /// <summary>Taken off once for every time a token was generated already.</summary>
    public double FrequencyPenalty { get; init; }

    /// <summary>Divides (or, below zero, multiplies) the logits of tokens in prompt and output. 1 changes nothing.</summary>
    public double RepetitionPenalty { get; init; } = 1;

    /// <summary>Added to the logits of tokens.</summary>
    public IReadOnlyDictionary<int, float> LogitBias { get; init; } = new Dictionary<int, float>();

    /// <summary>Same seed, same choices. Null: a fresh one.</summary>
    public long? Seed { get; init; }

    /// <summary>How many of the likeliest tokens to report with each token; null reports none, 0 the chosen one only.</summary>
    public int? Logprobs { get; init; }
}

/// <summary>One sequence to generate.</summary>
/// <param name="Prompt">Token ids, at least one.</param>
/// <param name="Sampling">How tokens are chosen.</param>
/// <param name="MaxTokens">Largest number of generated tokens; 0: the prompt is computed, and that is all.</param>
/// <param name="Tenant">Whose it is.</param>
internal sealed record EngineRequest(int[] Prompt, SamplingSettings Sampling, int MaxTokens, Tenant Tenant)
{
    /// <summary>Texts that end the output; they are not part of it.</summary>
    public IReadOnlyList<string> Stop { get; init; } = [];

    /// <summary>Go on past the end-of-sequence token.</summary>
    public bool IgnoreEndOfSequence { get; init; }

    /// <summary>Tokens that end the output as the end-of-sequence token does; their text is not part of it.</summary>
    public IReadOnlySet<int> StopTokens { get; init; } = FrozenSet<int>.Empty;

    /// <summary>Before so many tokens, none that ends the output is chosen, and no stop text is looked for.</summary>
    public int MinTokens { get; init; }

    /// <summary>Leading prompt tokens that every tenant may share while they are being computed.</summary>
    public int PublicTokens { get; init; }

    /// <summary>What the output must look like; null: anything.</summary>
    public OutputGrammar? Grammar { get; init; }

    /// <summary>Special tokens whose names are part of the output's text.</summary>
    public IReadOnlySet<int> ShownTokens { get; init; } = FrozenSet<int>.Empty;

    /// <summary>The outputs of which it is one.</summary>
    public ChoiceGroup Choices { get; init; } = new(1);

    /// <summary>Where the log-probabilities of its prompt go; null: nobody wants them.</summary>
    public PromptScores? Scores { get; init; }
}

/// <summary>Why a generation ended.</summary>
internal enum FinishReason
{
    /// <summary>End of sequence or a stop text.</summary>
    Stop,

    /// <summary>The token limit.</summary>
    Length,

    /// <summary>Cancelled.</summary>
    Abort,

    /// <summary>The model failed.</summary>
    Error,

    /// <summary>The grammar that was asked for cannot be followed any further.</summary>
    Grammar,
}

/// <summary>A token and its natural logarithm of probability, before temperature and filters.</summary>
internal readonly record struct TokenLogprob(int Token, float Logprob);

/// <summary>The choice of one token.</summary>
internal sealed record ChosenToken(TokenLogprob Chosen, IReadOnlyList<TokenLogprob> Top)
{
    /// <summary>Nothing came before it, so that it has no probability: the first token of a prompt.</summary>
    public bool First { get; init; }
}

/// <summary>Something a generation says: text as it becomes certain, and at last its end.</summary>
/// <param name="Text">New text; may be empty while a character or a possible stop text is incomplete.</param>
/// <param name="Tokens">The tokens since the last event, where their log-probabilities were asked for.</param>
/// <param name="Finish">Set on the last event.</param>
/// <param name="Generated">Tokens generated so far.</param>
internal sealed record GenerationEvent(string Text, IReadOnlyList<ChosenToken> Tokens, FinishReason? Finish, int Generated);

/// <summary>A generation in the engine, as its client sees it.</summary>
internal sealed class Generation
{
    private readonly Action<Generation, FinishReason> _end;

    public Generation(EngineRequest request, Action<Generation, FinishReason> end) => (Request, _end) = (request, end);

    public EngineRequest Request { get; }

    /// <summary>Prompt tokens that came from the prefix cache, or from a request that computed them at the same time. Final once the first event is there.</summary>
    public int CachedTokens { get; set; }

    /// <summary>Every event up to and with the one that finishes.</summary>
    public Channel<GenerationEvent> Events { get; } = Channel.CreateUnbounded<GenerationEvent>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });

    /// <summary>Asks the engine to stop; what the sequence holds is free within one step. Any number of times.</summary>
    public void Cancel() => _end(this, FinishReason.Abort);

    /// <summary>Tells the engine that the answer is whole: as <see cref="Cancel"/>, but it counts as finished, and goes into the prefix cache.</summary>
    public void Complete() => _end(this, FinishReason.Stop);
}

/// <summary>The queue is full.</summary>
internal sealed class QueueFullException(int waiting) : Exception($"{waiting} requests are waiting already")
{
    public int Waiting => waiting;
}

/// <summary>The engine takes no more requests.</summary>
internal sealed class EngineStoppedException() : Exception("the server is stopping");
