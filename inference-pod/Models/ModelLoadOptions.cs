using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Models;

/// <summary>How to load a model.</summary>
public sealed record ModelLoadOptions
{
    internal const int DefaultReaders = 3;

    internal static readonly int DefaultThreads = Math.Min(Environment.ProcessorCount, ServingSpec.MostThreads);

    /// <summary>
    /// Hard limit, in bytes, of the memory that holds routed experts. At least one layer's top-k experts. Null holds
    /// all of them, loaded before <see cref="ModelLoader.Load"/> returns.
    /// </summary>
    public long? ExpertBudgetBytes { get; init; }

    /// <summary>
    /// Compute threads, 1..1024; by default one per processor that this process may use. More threads than free cores
    /// make every step slower: set it where the machine does other work too.
    /// </summary>
    public int Threads { get; init; } = DefaultThreads;

    /// <summary>Tokens of one KV block, 1..1024.</summary>
    public int BlockTokens { get; init; } = 16;

    /// <summary>How weight files are read. Results are the same, bit for bit.</summary>
    public SlowTier SlowTier { get; init; } = SlowTier.DirectIO;

    /// <summary>
    /// A file that <c>moebius pack</c> made; it must have been made from this model. By default the one beside the model
    /// is used where there is one, and otherwise experts are read from the safetensors.
    /// </summary>
    public string? Pack { get; init; }

    /// <summary>
    /// Threads that load experts, 1..64; the compute thread is one more while it waits for an expert. Some loads at a
    /// time keep a device busy; more only share its bandwidth.
    /// </summary>
    public int Readers { get; init; } = DefaultReaders;

    /// <summary>The type in which weights stay in memory. Results are the same, bit for bit.</summary>
    public WeightStorage Weights { get; init; } = WeightStorage.Stored;

    /// <summary>
    /// How routed experts are stored in memory. Anything but <see cref="ExpertQuantization.None"/> changes results; the
    /// budget then holds about twice (Int8) or four times (Int4) as many experts as in bf16.
    /// </summary>
    public ExpertQuantization Quantization { get; init; } = ExpertQuantization.None;

    /// <summary>Which experts are loaded before they are needed, where not all of them fit.</summary>
    public PrefetchSpec PrefetchSpec { get; init; } = new();

    /// <summary>
    /// A file that <c>moebius predictor</c> made: what the prefetch policy's predictor begins with. By default the one beside
    /// the model is used where there is one, and otherwise it begins with the bare pre-gate. It changes no result.
    /// </summary>
    public string? Predictor { get; init; }

    /// <summary>Sees the routing and says which experts to load ahead, in place of <see cref="PrefetchSpec"/>'s policy.</summary>
    internal IPrefetchPolicy? Prefetch { get; init; }

    /// <summary>Most loads ahead on their way at once, 1 or more; see docs/benchmarks/inference.md for what was measured.</summary>
    internal int AheadAtOnce { get; init; } = 2;

    /// <summary>Memory for what the experts of a layer write, above which they write it in tiles; it changes no result.</summary>
    internal int ExpertTileBytes { get; init; } = Kernels.TensorKernels.DefaultTileBytes;

    /// <summary>Reports how far loading is; null for no reports.</summary>
    public IProgress<ModelLoadProgress>? Progress { get; init; }
}

/// <summary>The type in which weights stay in memory. Products are computed in fp32 either way.</summary>
public enum WeightStorage
{
    /// <summary>As in the file: bf16 stays bf16 at half the memory, everything else becomes fp32.</summary>
    Stored,

    /// <summary>fp32 for all.</summary>
    Float32,
}

/// <summary>How far loading is.</summary>
/// <param name="Stage">What is loading: <c>layers</c> or <c>experts</c>.</param>
/// <param name="Done">Parts loaded.</param>
/// <param name="Total">Parts in all.</param>
public sealed record ModelLoadProgress(string Stage, int Done, int Total);
