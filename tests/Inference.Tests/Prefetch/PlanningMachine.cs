using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Tests.Prefetch;

/// <summary>
/// A machine whose layers want experts that are not there, by chance. Looking ahead saves a share of them, at a cost for
/// one or two predictions, which a load that is waited for hides.
/// </summary>
internal sealed class PlanningMachine(double stall, double plan, Func<int, double> saved, int seed = 1)
{
    public const double Expert = 100e-6;

    public const double Compute = 35e-6;

    private readonly Random _random = new(seed);

    /// <summary>Seconds of planning that nothing hid, of stall that it saved, and of stall.</summary>
    public double Planned { get; private set; }

    public double Gained { get; private set; }

    public double Stalled { get; private set; }

    /// <summary>Nothing comes by chance: every layer waits for the same part of a load.</summary>
    public bool Steady { get; init; }

    /// <summary>Seconds a layer of a plan that is made once a step.</summary>
    public double Once { get; init; }

    /// <summary>Seconds of stall and planning in a layer with a horizon that stays.</summary>
    public double Expected(int horizon)
    {
        var left = stall * (1 - Saved(horizon));
        return left + (Math.Max(0, 1 - (left / Expert)) * Cost(horizon));
    }

    /// <summary>Runs layers, each of which is a step; returns in how many of them something was loaded ahead.</summary>
    public int Layers(HorizonController controller, int count)
    {
        var on = 0;
        for (var layer = 0; layer < count; layer++)
        {
            controller.Begin();
            int horizon = controller.Horizon, ahead = 0, missing = 0, late = 0;
            on += horizon > 0 ? 1 : 0;
            if (Steady)
            {
                double costs = Cost(horizon), gains = stall * Saved(horizon);
                Planned += costs;
                Gained += gains;
                Stalled += stall - gains;
                controller.Expect(4);
                controller.Observe(new PrefetchFeedback(0, stall - gains, 3, 0, Compute + costs, Expert, 3) { Ahead = 1, PlanSeconds = costs, Used = 4 });
                continue;
            }
            var wanted = stall / Expert;
            for (var i = (int)wanted + (_random.NextDouble() < wanted % 1 ? 1 : 0); i > 0; i--)
            {
                var chance = _random.NextDouble();
                if (chance < Saved(horizon))
                    ahead++;
                else
                    missing++;
                // What a longer horizon would have saved was foreseen too late.
                late += chance >= Saved(horizon) && chance < Saved(8) ? 1 : 0;
            }
            double cost = Cost(horizon), waits = missing * Expert;
            Planned += Math.Max(0, cost - waits);
            Gained += ahead * Expert;
            Stalled += waits;
            controller.Expect(4);
            controller.Observe(new PrefetchFeedback(0, Math.Max(0, waits - cost), missing, 0, Compute + cost, Expert, ahead + missing) { Ahead = ahead, Late = late, PlanSeconds = cost, Used = 4 });
        }
        return on;
    }

    private double Saved(int horizon) => horizon == HorizonController.Off ? 0 : saved(horizon);

    private double Cost(int horizon) => horizon == 0 ? Once : plan * Math.Clamp(horizon, 0, 2);
}
