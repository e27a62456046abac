using Moebius.Crds;
using Moebius.Crds.Sizing;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Prediction;

namespace Moebius.Inference.Prefetch;

/// <summary>Which policy a configuration asks for.</summary>
internal static class PrefetchPolicies
{
    /// <summary>Checks what the schema of the resource checks, for configurations that do not come from a cluster.</summary>
    /// <param name="spec">The settings.</param>
    /// <param name="field">Where they come from, for messages: a prefix of the field names.</param>
    /// <exception cref="UserInputException">A value is out of range, or a horizon is given where it has no meaning.</exception>
    public static void Check(PrefetchSpec spec, string field)
    {
        if (spec.Mode == PrefetchMode.Fixed && spec.Horizon is null)
            throw new UserInputException($"{field}horizon: missing: mode Fixed needs it, from 1 to 8");
        if (spec.Mode != PrefetchMode.Fixed && spec.Horizon is not null)
            throw new UserInputException($"{field}horizon: {spec.Horizon} is given with mode {spec.Mode}: only mode Fixed has a horizon");
        Range(spec.Horizon ?? 1, 8, $"{field}horizon");
        Range(spec.MaxHorizon, 64, $"{field}maxHorizon");
        Range(spec.StallThreshold, 1000, $"{field}stallThreshold");
        Range(spec.OverfetchThreshold, 1000, $"{field}overfetchThreshold");

        static void Range(int value, int most, string name)
        {
            if (value < 1 || value > most)
                throw new UserInputException($"{name}: {value} is out of range: from 1 to {most}");
        }
    }

    /// <summary>Makes the policy; null for loads on demand.</summary>
    /// <param name="spec">The settings, checked.</param>
    /// <param name="shape">The model's routing.</param>
    /// <param name="learned">File of what the predictor has learned before; null to begin with the bare pre-gate.</param>
    /// <exception cref="UserInputException">The file is damaged or of another model.</exception>
    public static IPrefetchPolicy? Create(PrefetchSpec spec, RoutingShape shape, string? learned = null) => spec.Mode switch
    {
        PrefetchMode.OnDemand => null,
        PrefetchMode.Fixed => new ExpertFlowPolicy(Predictor(spec, shape, learned), Limits(spec), horizon: spec.Horizon!.Value),
        PrefetchMode.Adaptive => new ExpertFlowPolicy(Predictor(spec, shape, learned), Limits(spec)),
        _ => throw new ArgumentOutOfRangeException(nameof(spec), spec.Mode, null),
    };

    private static RoutingPredictor Predictor(PrefetchSpec spec, RoutingShape shape, string? learned) =>
        learned is null ? new RoutingPredictor(shape) : PredictorFile.Read(learned, shape, MemorySizing.LayersAhead(spec) ?? 0);

    private static HorizonLimits Limits(PrefetchSpec spec) => new(spec.MaxHorizon, spec.StallThreshold, spec.OverfetchThreshold);
}
