namespace Moebius.Inference.Models;

/// <summary>A loaded causal language model. Not thread-safe: one engine loop calls it.</summary>
public interface ICausalModel : IDisposable
{
    /// <summary>Sizes and identity.</summary>
    ModelInfo Info { get; }

    /// <summary>Counters of the two-tier expert store.</summary>
    ExpertStatistics Experts { get; }

    /// <summary>Creates the empty key-value state of one sequence.</summary>
    ISequenceKv CreateSequence();

    /// <summary>
    /// Runs one step: every chunk's tokens are appended to its sequence and attended causally. A chunk's result does
    /// not depend on the other chunks of the step, nor on how its sequence was cut into chunks before, by a single bit
    /// (where <see cref="ModelInfo.KvDependsOnLength"/> is true, that takes <see cref="SequenceChunk.Prompt"/>).
    /// </summary>
    /// <param name="chunks">At most one chunk per sequence; each has at least one token and fits the context.</param>
    /// <returns>
    /// For each chunk, logits in fp32, row-major [rows, <see cref="ModelInfo.VocabularySize"/>], where rows is 0, 1 or
    /// the number of the chunk's tokens, as <see cref="SequenceChunk.Logits"/> says.
    /// </returns>
    IReadOnlyList<float[]> Forward(IReadOnlyList<SequenceChunk> chunks);

    /// <summary>Gives logits back, for later steps to write to; nobody may read them any more. Optional.</summary>
    /// <param name="logits">What <see cref="Forward"/> returned.</param>
    void Return(IReadOnlyList<float[]> logits)
    {
    }

    /// <summary>Runs independent work between steps, in any order, on the threads that compute them.</summary>
    /// <param name="count">Number of calls.</param>
    /// <param name="body">Called with 0..count-1.</param>
    void ForEach(int count, Action<int> body)
    {
        ArgumentNullException.ThrowIfNull(body);
        for (var i = 0; i < count; i++)
            body(i);
    }
}

/// <summary>What callers need to know of a model.</summary>
/// <param name="Architecture">The <c>model_type</c> of its configuration, for example <c>qwen3_moe</c>.</param>
/// <param name="VocabularySize">Rows of the output head.</param>
/// <param name="ContextLength">Largest number of positions: <c>max_position_embeddings</c>, or as far as a scaling of it reaches.</param>
/// <param name="Layers">Decoder layers.</param>
/// <param name="EndOfSequence">Token ids that end a generation (configuration and generation_config.json).</param>
/// <param name="BlockTokens">Tokens of one KV block.</param>
/// <param name="BlockBytes">Bytes of one KV block: all layers, keys and values.</param>
/// <param name="Fingerprint">SHA-256, 32 bytes, over all that makes KV bytes interchangeable.</param>
public sealed record ModelInfo(
    string Architecture,
    int VocabularySize,
    int ContextLength,
    int Layers,
    IReadOnlySet<int> EndOfSequence,
    int BlockTokens,
    int BlockBytes,
    Lazy<ReadOnlyMemory<byte>> Fingerprint)
{
    /// <summary>
    /// The longest sequence whose keys and values are those of every other one with the same tokens, in tokens. With
    /// dynamic and LongRoPE scaling a longer one has others: its blocks must not be shared, and beyond this length
    /// <see cref="ISequenceKv.ImportBlock"/> throws <see cref="NotSupportedException"/>.
    /// </summary>
    public int KvSharedUpTo { get; init; } = int.MaxValue;

    /// <summary>The keys and values of a token depend on how long its sequence is.</summary>
    public bool KvDependsOnLength => KvSharedUpTo < int.MaxValue;

    /// <summary>Routed experts of all layers.</summary>
    public int ExpertCount { get; init; }

    /// <summary>Bytes that all routed experts take when they are resident.</summary>
    public long ExpertBytes { get; init; }

    /// <summary>Where experts are loaded from and how, in words for the log; empty where a model has no experts.</summary>
    public string ExpertTier { get; init; } = "";
}

/// <summary>Which positions of a chunk need logits.</summary>
public enum LogitsFor
{
    /// <summary>None: a prefill chunk that is not the last.</summary>
    None,

    /// <summary>The last token only.</summary>
    Last,

    /// <summary>Every token (verification, perplexity).</summary>
    All,
}

/// <summary>Is given the logits of one token, which it may read until it returns. On any thread, several tokens at a time.</summary>
/// <param name="index">Of the token in its chunk.</param>
/// <param name="logits">[<see cref="ModelInfo.VocabularySize"/>].</param>
public delegate void LogitReader(int index, ReadOnlySpan<float> logits);

/// <summary>
/// Tokens of a chunk whose logits are read while they are computed (prompt log-probabilities), some at a time: those of a whole
/// prompt together would be gigabytes. A step may still fail after some were read.
/// </summary>
/// <param name="First">Index of the first one in its chunk.</param>
/// <param name="Count">How many, at least 1.</param>
/// <param name="Read">Called once for each, in any order.</param>
public sealed record LogitReading(int First, int Count, LogitReader Read);

/// <summary>Tokens to append to one sequence in a step.</summary>
/// <param name="Kv">The sequence.</param>
/// <param name="Tokens">Token ids, 1..context.</param>
/// <param name="Logits">Which logits are wanted.</param>
public sealed record SequenceChunk(ISequenceKv Kv, ReadOnlyMemory<int> Tokens, LogitsFor Logits)
{
    /// <summary>
    /// Leading tokens of the sequence that are computed as if they came at once, however they are cut, and each later one
    /// as if it came alone; 0: what is stored came as it did, and this chunk comes at once. It matters where
    /// <see cref="ModelInfo.KvDependsOnLength"/> is true.
    /// </summary>
    public int Prompt { get; init; }

    /// <summary>Logits that are read, beside those that are returned; null: none.</summary>
    public LogitReading? Reading { get; init; }
}

/// <summary>Keys and values of one sequence.</summary>
public interface ISequenceKv : IDisposable
{
    /// <summary>Tokens stored.</summary>
    int Length { get; }

    /// <summary>Leading tokens whose keys and values are those of every sequence that begins with the same tokens.</summary>
    int SharedLength => Length;

    /// <summary>
    /// Copies full block <paramref name="block"/> (tokens [block * BlockTokens, (block + 1) * BlockTokens)) out.
    /// </summary>
    /// <param name="block">Block index; the block must be full.</param>
    /// <param name="destination">Exactly <see cref="ModelInfo.BlockBytes"/> bytes.</param>
    void ExportBlock(int block, Span<byte> destination);

    /// <summary>Appends a full block that <see cref="ExportBlock"/> wrote. Length must be a multiple of the block size.</summary>
    /// <param name="source">Exactly <see cref="ModelInfo.BlockBytes"/> bytes.</param>
    /// <param name="tokens">Its tokens, <see cref="ModelInfo.BlockTokens"/> of them.</param>
    void ImportBlock(ReadOnlySpan<byte> source, ReadOnlySpan<int> tokens);

    /// <summary>Forgets all tokens from <paramref name="length"/> on.</summary>
    void Truncate(int length);
}

/// <summary>A snapshot of the expert store's counters.</summary>
/// <param name="Hits">Expert uses that found the expert resident.</param>
/// <param name="Misses">Expert uses that had to wait for a load.</param>
/// <param name="Evictions">Experts dropped to stay inside the budget.</param>
/// <param name="StallSeconds">Time the compute thread waited for experts.</param>
/// <param name="LoadedBytes">Bytes read from the slow tier.</param>
/// <param name="ResidentBytes">Bytes of experts in the fast tier now.</param>
/// <param name="BudgetBytes">The fast tier's hard limit.</param>
public readonly record struct ExpertStatistics(
    long Hits,
    long Misses,
    long Evictions,
    double StallSeconds,
    long LoadedBytes,
    long ResidentBytes,
    long BudgetBytes)
{
    /// <summary>Loads ahead of their layer that began.</summary>
    public long Prefetched { get; init; }

    /// <summary>Those of the misses for which a load ahead had begun: it came too late.</summary>
    public long Late { get; init; }

    /// <summary>Those of the misses that were in the plan, but whose load ahead had not begun.</summary>
    public long Queued { get; init; }

    /// <summary>Those of the other misses that had been in memory since their layer last ran.</summary>
    public long EvictedEarly { get; init; }

    /// <summary>Experts loaded ahead and evicted unused.</summary>
    public long OverFetched { get; init; }

    /// <summary>Bytes a second of the link while it is busy, as measured so far; 0 before the first load.</summary>
    public double BytesPerSecond { get; init; }

    /// <summary>Seconds from one expert to the next on the busy link; 0 before the first load.</summary>
    public double SecondsPerExpert { get; init; }

    /// <summary>Seconds that a load takes from its beginning to its end, others at the same time included; 0 before the first.</summary>
    public double LatencySeconds { get; init; }

    /// <summary>Expert uses, one for each expert of a layer and step, that a policy could have foreseen.</summary>
    public long Uses { get; init; }

    /// <summary>Those of them that were in the plan: the predictor's recall is the ratio.</summary>
    public long Foreseen { get; init; }

    /// <summary>Layers ahead that the policy last looked, averaged over the layers of a step; 0 on demand.</summary>
    public double Horizon { get; init; }

    /// <summary>Whether the policy planned in the last step; false on demand, and while looking ahead does not pay.</summary>
    public bool LooksAhead { get; init; }

    /// <summary>These counters without what an earlier snapshot had counted; sizes and measurements stay as they are.</summary>
    /// <param name="earlier">The earlier snapshot.</param>
    public ExpertStatistics Since(ExpertStatistics earlier) => this with
    {
        Hits = Hits - earlier.Hits,
        Misses = Misses - earlier.Misses,
        Evictions = Evictions - earlier.Evictions,
        StallSeconds = StallSeconds - earlier.StallSeconds,
        LoadedBytes = LoadedBytes - earlier.LoadedBytes,
        Prefetched = Prefetched - earlier.Prefetched,
        Late = Late - earlier.Late,
        Queued = Queued - earlier.Queued,
        EvictedEarly = EvictedEarly - earlier.EvictedEarly,
        OverFetched = OverFetched - earlier.OverFetched,
        Uses = Uses - earlier.Uses,
        Foreseen = Foreseen - earlier.Foreseen,
    };
}
