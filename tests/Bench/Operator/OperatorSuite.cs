namespace Moebius.Bench.Operator;

/// <summary>The operator on a real API server: <c>make bench-operator</c>.</summary>
internal static class OperatorSuite
{
    public static Suite Suite { get; } = new("operator", [new("fleet", FleetBench.RunAsync), new("rest", RestBench.RunAsync)]);
}
