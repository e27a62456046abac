using FsCheck;
using FsCheck.Fluent;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>After an eviction nothing that was there before is found again, however copies between the tiers cross it.</summary>
public sealed class EvictionProperties
{
    public const int Tenants = 2;

    private static readonly string[] Commands = ["GET", "SET", "EXPIRE", "SCAN"];

    public enum Verb
    {
        Commit,
        CommitPublic,
        Copy,
        Stage,

        /// <summary>The arena loses what is in it, as for room or age.</summary>
        Drop,
        Evict,
        EvictAll,

        /// <summary>Copies stop, and go on by some steps at a time.</summary>
        Step,

        /// <summary>The server keeps its answers back from the next command of some kind on.</summary>
        Hold,

        /// <summary>Copies and answers go on, and are waited for.</summary>
        Settle,
    }

    public sealed record Step(Verb Verb, int Tenant, string Text, int Count);

    public static Arbitrary<Step[]> Steps()
    {
        var step = from verb in Gen.Frequency((6, Gen.Elements(Verb.Commit, Verb.Copy, Verb.Stage)), (3, Gen.Elements(Verb.Drop, Verb.Step, Verb.Evict, Verb.Hold)), (1, Gen.Elements(Enum.GetValues<Verb>())))
                   from tenant in Gen.Choose(0, Tenants - 1)
                   from text in Gen.Elements<string>([.. EvictionWorld.Texts])
                   from count in Gen.Choose(0, 3)
                   select new Step(verb, tenant, text, count);
        return (from length in Gen.Choose(0, 80)
                from steps in step.ArrayOf(length)
                select steps).ToArbitrary();
    }

    [Property(Arbitrary = [typeof(EvictionProperties)], MaxTest = 150)]
    public void Nothing_comes_back_in_the_pod(Step[] steps)
    {
        using var world = new EvictionWorld();
        Run(world, steps, held: null);
        world.Settle();
        for (var tenant = 0; tenant < Tenants; tenant++)
            world.Check(tenant);
    }

    /// <summary>Does the steps, and looks after each what the tenants find.</summary>
    internal static void Run(EvictionWorld world, Step[] steps, HeldServer? held)
    {
        foreach (var step in steps)
        {
            switch (step.Verb)
            {
                case Verb.Commit or Verb.CommitPublic:
                    world.Commit(step.Tenant, step.Text, step.Verb == Verb.CommitPublic);
                    break;
                case Verb.Copy:
                    world.Copy(step.Tenant, step.Text);
                    break;
                case Verb.Stage:
                    world.Stage(step.Tenant, step.Text);
                    break;
                case Verb.Drop:
                    world.Drop();
                    break;
                case Verb.Evict:
                    world.Evict(step.Tenant);
                    break;
                // What the server has may come back.
                case Verb.EvictAll when held is null:
                    world.Evict(null);
                    break;
                case Verb.Step:
                    world.Steps = step.Count;
                    break;
                case Verb.Hold:
                    held?.ReleaseAll();
                    held?.Hold(Commands[step.Count]);
                    break;
                case Verb.Settle:
                    held?.ReleaseAll();
                    world.Settle();
                    break;
            }

            world.Rest();
            for (var tenant = 0; tenant < Tenants; tenant++)
                world.Check(tenant);
        }
    }
}
