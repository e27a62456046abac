using System.CommandLine;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Experts;
using Moebius.Inference.Prefetch;
using Moebius.Inference.Storage;

namespace Moebius.Inference.Models;

/// <summary>The flags of every command that loads a model's experts.</summary>
internal sealed class ExpertFlags
{
    private readonly Option<string?> _budget = new("--expert-budget") { Description = "Hard limit for resident experts: bytes or a quantity such as 512Mi. Default: all experts.", HelpName = "QUANTITY" };
    private readonly Option<string?> _slowTier = new("--slow-tier") { Description = "How weight files are read: DirectIO (past the page cache) or MemoryMap. Default: DirectIO.", HelpName = "TIER" };
    private readonly Option<string?> _pack = new("--pack") { Description = "File that 'moebius pack' made. Default: the one in the model's directory, if any.", HelpName = "FILE" };
    private readonly Option<int?> _readers = new("--readers") { Description = "Threads that load experts, 1 to 64. Default: 3.", HelpName = "N" };
    private readonly Option<string?> _prefetch = new("--prefetch") { Description = "Which experts are loaded before they are needed: OnDemand (none), Fixed or Adaptive. Default: OnDemand.", HelpName = "MODE" };
    private readonly Option<int?> _horizon = new("--horizon") { Description = "Layers ahead, 1 to 8, for --prefetch Fixed.", HelpName = "N" };
    private readonly Option<string?> _predictor = new("--predictor") { Description = "File that 'moebius predictor' made. Default: the one in the model's directory, if any.", HelpName = "FILE" };
    private readonly Option<string?> _quantize = new("--quantize") { Description = "Store resident experts as int8 or int4 (changes results) or none, as in the checkpoint. Default: none.", HelpName = "none|int8|int4" };

    public void AddTo(Command command)
    {
        foreach (var option in new Option[] { _budget, _slowTier, _pack, _readers, _prefetch, _horizon, _predictor, _quantize })
            command.Add(option);
    }

    /// <summary>The flags as given, unchecked; null where absent.</summary>
    public Given Read(ParseResult parsed) => new(
        parsed.GetValue(_budget), parsed.GetValue(_slowTier), parsed.GetValue(_pack), parsed.GetValue(_readers), parsed.GetValue(_prefetch), parsed.GetValue(_horizon), parsed.GetValue(_quantize), parsed.GetValue(_predictor));

    /// <summary>Flags as given; null where absent.</summary>
    internal sealed record Given(string? Budget = null, string? SlowTier = null, string? Pack = null, int? Readers = null, string? Prefetch = null, int? Horizon = null, string? Quantize = null, string? Predictor = null)
    {
        /// <summary>Checks the flags and puts them over a configuration.</summary>
        /// <param name="spec">The configuration, or its defaults.</param>
        /// <param name="source">Where it comes from, for messages.</param>
        /// <exception cref="UserInputException">A value cannot be honoured; the message names it.</exception>
        public ExpertSettings Over(ExpertSpec spec, string source)
        {
            var tier = SlowTier is { } name ? Named(name, "--slow-tier", Crds.V1Alpha1.SlowTier.HostMemory) : spec.SlowTier;
            if (tier == Crds.V1Alpha1.SlowTier.HostMemory)
                throw new UserInputException($"{(SlowTier is null ? $"{source}: experts.slowTier" : "--slow-tier")}: {SlowTiers.Refusal(tier)}");
            var prefetch = spec.Prefetch;
            if (Prefetch is { } mode)
                prefetch = new PrefetchSpec { Mode = Named<PrefetchMode>(mode, "--prefetch"), Horizon = Horizon, MaxHorizon = spec.Prefetch.MaxHorizon, StallThreshold = spec.Prefetch.StallThreshold, OverfetchThreshold = spec.Prefetch.OverfetchThreshold };
            else if (Horizon is { } horizon)
                prefetch = new PrefetchSpec { Mode = spec.Prefetch.Mode, Horizon = horizon, MaxHorizon = spec.Prefetch.MaxHorizon, StallThreshold = spec.Prefetch.StallThreshold, OverfetchThreshold = spec.Prefetch.OverfetchThreshold };
            PrefetchPolicies.Check(prefetch, Prefetch is null && Horizon is null ? $"{source}: experts.prefetch." : "--");
            if (Predictor is not null && prefetch.Mode == PrefetchMode.OnDemand)
                throw new UserInputException($"--predictor: '{Predictor}' is given with mode OnDemand: only modes Fixed and Adaptive predict");
            if (Readers is < 1 or > 64)
                throw new UserInputException($"--readers: {Readers} is out of range: from 1 to 64");
            return new ExpertSettings(
                Budget is { } budget ? Quantities.ParseBytes(budget, "--expert-budget") : spec.FastMemory is { } memory ? Quantities.Bytes(memory, $"{source}: experts.fastMemory") : null,
                tier, Pack, Readers ?? ModelLoadOptions.DefaultReaders, prefetch)
            {
                Predictor = Predictor,
                Quantization = Quantize is { } quantize ? ExpertQuantizations.Parse(quantize) : spec.Quantization,
            };
        }

        /// <summary>The value of an enumeration that a flag names.</summary>
        /// <param name="text">The name.</param>
        /// <param name="flag">The flag, for messages.</param>
        /// <param name="refused">Values that are not offered: the caller says why they are refused.</param>
        internal static T Named<T>(string text, string flag, params IEnumerable<T> refused)
            where T : struct, Enum =>
            Enum.GetNames<T>().Contains(text)
                ? Enum.Parse<T>(text)
                : throw new UserInputException($"{flag}: '{text}' is not one of {string.Join(", ", Enum.GetValues<T>().Except(refused))}");
    }
}

/// <summary>How experts share fast memory, checked.</summary>
/// <param name="BudgetBytes">Null: all experts are resident.</param>
/// <param name="SlowTier">How files are read.</param>
/// <param name="Pack">A packed expert file; null for the one beside the model, if any.</param>
/// <param name="Readers">Threads that load.</param>
/// <param name="Prefetch">What is loaded ahead.</param>
internal sealed record ExpertSettings(long? BudgetBytes, SlowTier SlowTier, string? Pack, int Readers, PrefetchSpec Prefetch)
{
    /// <summary>How resident experts are stored.</summary>
    public ExpertQuantization Quantization { get; init; }

    /// <summary>What the predictor has learned before; null for the file beside the model, if any.</summary>
    public string? Predictor { get; init; }

    /// <summary>These settings in the options of a load.</summary>
    public ModelLoadOptions Apply(ModelLoadOptions options) => options with
    {
        ExpertBudgetBytes = BudgetBytes,
        SlowTier = SlowTier,
        Pack = Pack,
        Readers = Readers,
        PrefetchSpec = Prefetch,
        Quantization = Quantization,
        Predictor = Predictor,
    };
}
