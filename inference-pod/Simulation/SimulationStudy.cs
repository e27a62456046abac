using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Simulation;

/// <summary>One way to load experts, simulated.</summary>
/// <param name="Name">What it is.</param>
/// <param name="Run">What it cost.</param>
internal sealed record SimulatedPolicy(string Name, SimulatedRun Run)
{
    /// <summary>It plans by what it foretells: on demand nothing is planned, and an oracle knows.</summary>
    public bool Foretells => Name is not (SimulationStudy.OnDemand or SimulationStudy.Oracle or SimulationStudy.Belady);
}

/// <summary>What a simulation is of.</summary>
/// <param name="Hardware">The machine.</param>
/// <param name="Shape">The model.</param>
/// <param name="Batch">Sequences decoded together.</param>
/// <param name="Slots">Experts that fit the fast tier.</param>
/// <param name="WarmUp">Steps before counting begins.</param>
/// <param name="Limits">Of the adaptive horizon.</param>
internal sealed record SimulationSetup(HardwareProfile Hardware, ModelShape Shape, int Batch, int Slots, int WarmUp, HorizonLimits Limits);

/// <summary>SIMULATION: every way to load experts on the same routing, machine and budget.</summary>
internal static class SimulationStudy
{
    /// <summary>Largest fixed step that is tried.</summary>
    private const int MostSteps = 8;

    private static readonly int[] Windows = [1, 2, 4, 8, 16];

    public const string OnDemand = "on-demand LRU";
    public const string NextLayer = "next-layer pre-gate";

    /// <summary>What is known before the first layer: the token ids, and what each layer used in the step before.</summary>
    public const string TokenIds = "token ids, last uses";

    public const string ExpertFlow = "ExpertFlow";
    public const string Oracle = "oracle";
    public const string Belady = "oracle, Belady";

    /// <summary>
    /// Runs all, the baseline first and the oracles last. The oracles know the routing of the next layers, as far ahead
    /// as is best of what is tried; the second also evicts what is used last.
    /// </summary>
    /// <param name="setup">Machine, model and budget.</param>
    /// <param name="source">Routing.</param>
    /// <param name="maxStep">Largest distance for which the routing has pre-gates.</param>
    /// <param name="predictor">Where ExpertFlow begins; null: knowing nothing.</param>
    public static IEnumerable<SimulatedPolicy> Run(SimulationSetup setup, RoutingReplay source, int maxStep, Func<RoutingPredictor>? predictor = null)
    {
        predictor ??= () => new RoutingPredictor(source.Shape);
        yield return One(OnDemand, new OnDemandPolicy());
        for (var step = 1; step <= Math.Min(MostSteps, maxStep); step++)
            yield return One(step == 1 ? NextLayer : $"fixed step {step}", new PreGatePolicy(step));
        var limits = setup.Limits with { MaxHorizon = Math.Min(setup.Limits.MaxHorizon, maxStep) };
        yield return One(TokenIds, new ExpertFlowPolicy(predictor(), limits, horizon: 0));
        yield return One(ExpertFlow, new ExpertFlowPolicy(predictor(), limits));
        yield return Windows.Select(horizon => One(Oracle, new OraclePolicy(source, horizon))).MinBy(run => run.Run.StallSeconds)!;
        yield return Windows.Append(2 * source.Shape.Layers).Select(horizon =>
            One(Belady, new OraclePolicy(source, horizon, new FutureUses(source)))).MinBy(run => run.Run.StallSeconds)!;

        SimulatedPolicy One(string name, IPrefetchPolicy policy) =>
            new(name, new Simulator(source, SimulatedTimes.Of(setup.Hardware, setup.Shape, setup.Batch), policy, setup.Slots).Run(setup.WarmUp));
    }
}
