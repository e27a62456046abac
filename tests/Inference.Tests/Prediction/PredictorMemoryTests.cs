using System.Reflection;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Tests.Prediction;

/// <summary>The memory that a pod is sized by is what a predictor has in the end, and not much more.</summary>
public class PredictorMemoryTests
{
    private const double Slack = 1.05;

    [Theory]
    [InlineData(6, 32, 4, 2000, 8)]
    [InlineData(6, 32, 4, 2000, 3)]
    [InlineData(4, 8, 2, 500, 1)]
    [InlineData(3, 128, 8, 300, 2)]
    [InlineData(2, 60, 4, 1000, 1)]
    [InlineData(64, 16, 2, 9000, 1)]
    [InlineData(1, 16, 2, 64, 8)]
    public void It_takes_what_is_said_and_not_less(int layers, int experts, int topK, int vocabulary, int horizon)
    {
        var shape = new RoutingShape(layers, experts, topK, vocabulary);
        var predictor = new RoutingPredictor(shape);
        Use(predictor, horizon);
        Assert.InRange(PredictorMemory.Bytes(shape, horizon), Retained(predictor), (long)(Slack * Retained(predictor)) + (16 << 10));
    }

    [Theory]
    [InlineData(PrefetchMode.Adaptive, 2)]
    [InlineData(PrefetchMode.Fixed, 1)]
    public void What_a_file_says_beyond_the_horizon_takes_no_memory(PrefetchMode mode, int horizon)
    {
        using var folder = new TemporaryDirectory();
        var file = Path.Combine(folder.Path, "predictor");
        var shape = new RoutingShape(6, 32, 4, 2000);
        var taught = new RoutingPredictor(shape);
        Use(taught, 6);
        PredictorFile.Write(file, taught);
        var spec = new PrefetchSpec { Mode = mode, Horizon = mode == PrefetchMode.Fixed ? horizon : null, MaxHorizon = mode == PrefetchMode.Fixed ? 8 : horizon };
        var policy = Assert.IsType<ExpertFlowPolicy>(PrefetchPolicies.Create(spec, shape, file));
        Use(policy.Predictor, horizon);
        Assert.InRange(Retained(policy.Predictor), 0, PredictorMemory.Bytes(shape, horizon));
        Assert.InRange(Retained(policy.Predictor), PredictorMemory.Bytes(shape, horizon) / Slack, Retained(taught));
    }

    [Fact]
    public void What_is_within_the_horizon_is_as_it_was_taught()
    {
        using var folder = new TemporaryDirectory();
        var file = Path.Combine(folder.Path, "predictor");
        var shape = new RoutingShape(3, 8, 2, 32);
        var taught = new RoutingPredictor(shape);
        Use(taught, 3);
        PredictorFile.Write(file, taught);
        var all = PredictorFile.Read(file, shape);
        var near = PredictorFile.Read(file, shape, 1);
        foreach (var predictor in new[] { all, near })
            predictor.Begin([5]);
        float[] expected = new float[8], found = new float[8];
        for (var source = -1; source < 3; source++)
        {
            for (var distance = 1; distance <= (source < 0 ? 3 : 1); distance++)
            {
                var routing = source < 0 ? null : Routing(shape, source, 1, 7, 1);
                all.Predict(routing, distance, expected);
                near.Predict(routing, distance, found);
                Assert.Equal(expected, found);
            }
        }
    }

    [Fact]
    public void Large_models_take_what_their_layers_and_experts_make()
    {
        // DeepSeek-V3 and Qwen3-30B-A3B with the horizon that is the default.
        Assert.InRange(PredictorMemory.Bytes(new RoutingShape(58, 256, 8, 129280), 8) / 1e6, 420, 450);
        Assert.InRange(PredictorMemory.Bytes(new RoutingShape(48, 128, 8, 151936), 8) / 1e6, 115, 150);
        // Rows of 8 experts are many and small.
        Assert.InRange(PredictorMemory.Bytes(new RoutingShape(32, 8, 2, 32000), 8) / 1e6, 50, 60);
    }

    /// <summary>All that a server would let it see: every token, from every layer, in prompts and one by one, learned at once and later.</summary>
    private static void Use(RoutingPredictor predictor, int horizon)
    {
        var shape = predictor.Shape;
        var ids = Math.Min(shape.Vocabulary, predictor.Buckets);
        for (var (token, step) = (0, 0); token < ids + 8; step++)
        {
            // Two steps of each batch: the second is what the first foretells of the next step.
            var tokens = Enumerable.Range(token, step % 8 < 6 ? 4 : 1).Select(id => id % ids).ToArray();
            token += step % 2 == 0 ? 0 : tokens.Length;
            Step(predictor, tokens, horizon, step);
        }
        // As many lessons as may wait, each of which has been with every pair.
        for (var step = 0; step < 100; step++)
            Step(predictor, [.. Enumerable.Range(0, RoutingPredictor.MostRows).Select(id => id % ids)], horizon, step, postpone: true);
    }

    private static void Step(RoutingPredictor predictor, int[] tokens, int horizon, int step, bool postpone = false)
    {
        var shape = predictor.Shape;
        var use = new float[shape.Experts];
        predictor.Begin(tokens);
        for (var distance = 1; distance <= shape.Layers; distance++)
            predictor.Predict(null, distance, use);
        var ahead = Math.Min(horizon, shape.Layers);
        for (var layer = 0; layer < shape.Layers; layer++)
        {
            var routing = Routing(shape, layer, tokens.Length, step, ahead);
            predictor.Learn(layer, routing.Chosen, postpone);
            for (var distance = 1; distance <= ahead; distance++)
                predictor.Predict(routing, distance, use);
        }
    }

    private static LayerRouting Routing(RoutingShape shape, int layer, int tokens, int step, int ahead)
    {
        var gate = Enumerable.Range(0, tokens * shape.Experts).Select(i => 1f / (1 + ((i + step) % shape.Experts))).ToArray();
        int[] chosen = [.. Enumerable.Range(0, tokens * shape.TopK).Select(i => (i + step) % shape.Experts)];
        return new LayerRouting(layer, tokens, chosen, gate, [.. Enumerable.Range(1, ahead).Select(distance => new PreGate((layer + distance) % shape.Layers, gate))]);
    }

    /// <summary>Bytes of all objects that can be reached from one, but for types and delegates: arrays as they are, 16 bytes and 8 a field for the rest.</summary>
    private static long Retained(object root)
    {
        var seen = new HashSet<object>(ReferenceEqualityComparer.Instance);
        var open = new Stack<object>([root]);
        long bytes = 0;
        while (open.TryPop(out var one))
        {
            // The routing that was shown last is the caller's.
            if (one is MemberInfo or Delegate or string or LayerRouting || !seen.Add(one))
                continue;
            if (one is Array array)
            {
                var element = array.GetType().GetElementType()!;
                bytes += 24 + (((array.Length * Width(element)) + 7) / 8 * 8);
                if (!Plain(element))
                {
                    foreach (var item in array)
                        Push(item);
                }
                continue;
            }
            bytes += 16;
            foreach (var field in Fields(one.GetType()))
            {
                bytes += Width(field.FieldType) <= 4 ? 4 : 8;
                if (!Plain(field.FieldType))
                    Push(field.GetValue(one));
            }
        }
        return bytes;

        void Push(object? value)
        {
            if (value is not null)
                open.Push(value);
        }
    }

    private static IEnumerable<FieldInfo> Fields(Type? type)
    {
        for (; type is not null && type != typeof(object); type = type.BaseType)
        {
            foreach (var field in type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
                yield return field;
        }
    }

    private static bool Plain(Type type) => type.IsPrimitive || type.IsEnum || (type.IsValueType && Fields(type).All(field => Plain(field.FieldType)));

    private static long Width(Type type) => !type.IsValueType ? 8 : type == typeof(float) || type == typeof(int) ? 4 : type == typeof(bool) ? 1 : type.IsPrimitive ? 8 : Fields(type).Sum(field => Width(field.FieldType));
}
