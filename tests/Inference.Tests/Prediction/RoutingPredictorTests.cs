using Moebius.Crds;
using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Tests.Prediction;

public class RoutingPredictorTests
{
    private static readonly RoutingShape Shape = new(2, 8, 2, 32);

    [Fact]
    public void It_learns_what_the_pre_gate_gets_wrong()
    {
        // Layer 1 uses the experts after those that its pre-gate favours: a rule that the bare pre-gate breaks always.
        var predictor = new RoutingPredictor(Shape);
        Assert.Equal(0, Recall(predictor, 0, 1));
        Assert.InRange(Recall(predictor, 1, 400), 0.3, 1);
        Assert.Equal(1, Recall(predictor, 401, 50));
    }

    [Fact]
    public void It_learns_what_a_token_says_before_the_first_layer()
    {
        var predictor = new RoutingPredictor(Shape);
        var use = new float[8];
        for (var step = 0; step < 400; step++)
        {
            predictor.Begin([step % 4]);
            predictor.Predict(null, 1, use);
            predictor.Learn(0, [step % 4, 7]);
        }
        for (var token = 0; token < 4; token++)
        {
            predictor.Begin([token]);
            predictor.Predict(null, 1, use);
            Assert.True(use[token] > 0.7 && use[7] > 0.7, string.Join(' ', use));
            Assert.True(use[(token + 1) % 4] < 0.3, string.Join(' ', use));
            predictor.Learn(0, [token, 7]);
        }
    }

    [Fact]
    public void Each_sequence_of_a_batch_is_predicted_from_what_it_used_itself()
    {
        // Layer 0 mostly uses what it used for the token before.
        var predictor = new RoutingPredictor(Shape);
        var use = new float[8];
        for (var step = 0; step < 600; step++)
        {
            predictor.Begin([1]);
            predictor.Predict(null, 1, use);
            predictor.Learn(0, [step / 10 % 4, 4 + (step / 10 % 3)]);
        }

        int[] first = [0, 5], second = [2, 6];
        float[] one = After(first), other = After(second), both = After([.. first, .. second]);
        Assert.True(one[0] > 2 * one[2] && other[2] > 2 * other[0], $"{string.Join(' ', one)}; {string.Join(' ', other)}");
        for (var e = 0; e < 8; e++)
            Assert.Equal(1 - ((1 - one[e]) * (1 - other[e])), both[e], 1e-4f);
        // Of a step with another number of tokens it is not known which was whose.
        Assert.NotEqual(one, After([.. first, .. second], tokens: 1));

        float[] After(int[] chosen, int? tokens = null)
        {
            var result = new float[8];
            // No lesson in between.
            predictor.Learn(0, chosen, postpone: true);
            predictor.Begin(Enumerable.Repeat(1, tokens ?? (chosen.Length / 2)).ToArray());
            predictor.Predict(null, 1, result);
            return result;
        }
    }

    [Fact]
    public void It_begins_as_the_bare_pre_gate()
    {
        var predictor = new RoutingPredictor(Shape);
        var use = new float[8];
        float[] gate = [0.01f, 0.02f, 0.03f, 0.04f, 0.1f, 0.15f, 0.25f, 0.4f];
        predictor.Begin([5]);
        predictor.Predict(new LayerRouting(0, 1, [0, 1], [1, 0, 0, 0, 0, 0, 0, 0], [new PreGate(1, gate)]), 1, use);
        // A probability as large as a fair choice's means the share of top-k of all: 2 of 8, odds of 1 to 3.
        for (var e = 0; e < 8; e++)
            Assert.Equal(gate[e] * 8 / 3 / (1 + (gate[e] * 8 / 3)), use[e], 1e-5f);
    }

    [Fact]
    public void It_learns_what_a_token_says_of_the_step_after_apart_from_what_it_says_of_its_own()
    {
        // In a step with token t the first layer uses t - 1, and so t in the step after.
        var predictor = new RoutingPredictor(Shape);
        float[] use = new float[8], next = new float[8];
        for (var step = 0; step < 600; step++)
        {
            var token = step % 8;
            predictor.Begin([token]);
            predictor.Predict(null, 1, use);
            predictor.Learn(0, [(token + 7) % 8, (token + 3) % 8]);
            var even = Enumerable.Repeat(1f / 8, 8).ToArray();
            predictor.Predict(new LayerRouting(1, 1, [0, 1], even, [new PreGate(0, even)]), 1, next);
            if (step < 592)
                continue;
            Assert.True(use[(token + 7) % 8] > 0.6 && use[token] < 0.4, string.Join(' ', use));
            Assert.True(next[token] > 0.6 && next[(token + 7) % 8] < 0.4, string.Join(' ', next));
        }
    }

    [Fact]
    public void What_one_layer_says_does_not_change_what_another_says()
    {
        var shape = new RoutingShape(3, 8, 2, 32);
        RoutingPredictor alone = new(shape), both = new(shape);
        float[] expected = new float[8], found = new float[8], other = new float[8];
        for (var step = 0; step < 50; step++)
        {
            LayerRouting first = Routing(1, step) with { Ahead = [Routing(1, step + 3).Ahead[0]] }, second = Routing(1, step * 3) with { Layer = 1, Ahead = [new PreGate(2, Routing(1, step + 1).Gate)] };
            alone.Begin([step % 5]);
            both.Begin([step % 5]);
            both.Predict(first, 1, other);
            both.Learn(1, [1, 2]);
            both.Predict(second, 1, found);
            alone.Predict(second, 1, expected);
            Assert.Equal(expected, found);
            both.Learn(2, [step % 8, (step + 1) % 8]);
            alone.Learn(2, [step % 8, (step + 1) % 8]);
        }
    }

    [Fact]
    public void A_prediction_for_a_step_that_came_otherwise_teaches_nothing()
    {
        RoutingPredictor taught = new(Shape), untaught = new(Shape);
        float[] use = new float[8], expected = new float[8];
        var routing = Routing(3, 1) with { Layer = 1, Ahead = [new PreGate(0, Routing(3, 2).Gate)] };
        taught.Begin([1, 2, 3]);
        taught.Predict(routing, 1, use);
        // Other sequences, and fewer of them.
        taught.Begin([4]);
        taught.Learn(0, [0, 1]);
        taught.Begin([1, 2, 3]);
        taught.Predict(routing, 1, use);
        // A step in which the layer did not run lies between.
        taught.Begin([1, 2, 3]);
        taught.Begin([1, 2, 3]);
        taught.Learn(0, [0, 1, 0, 1, 0, 1]);
        untaught.Learn(0, [0, 1, 0, 1, 0, 1]);

        taught.Begin([1, 2, 3]);
        untaught.Begin([1, 2, 3]);
        taught.Predict(routing, 1, use);
        untaught.Predict(routing, 1, expected);
        Assert.Equal(expected, use);
    }

    [Property]
    public void Probabilities_are_in_bounds_for_any_batch(byte[] tokens, byte seed)
    {
        if (tokens.Length == 0)
            return;
        var predictor = new RoutingPredictor(Shape);
        var use = new float[8];
        predictor.Begin([.. tokens.Select(token => token % 32)]);
        predictor.Predict(Routing(tokens.Length, seed), 1, use);
        Assert.All(use, probability => Assert.InRange(probability, 0, 1));
    }

    [Fact]
    public void No_probability_is_below_0_however_small_it_is()
    {
        // 1 - e^-x of a tiny x may round to less than nothing.
        var predictor = new RoutingPredictor(Shape);
        var use = new float[8];
        for (var step = 0; step < 400; step++)
        {
            predictor.Begin([0]);
            var routing = Routing(1, step);
            predictor.Predict(routing, 1, use);
            predictor.Learn(1, [step * 5 % 8, ((step * 5) + 7) % 8]);
        }
        for (var tokens = 2; tokens <= 64; tokens++)
        {
            var gate = new float[tokens * 8];
            for (var t = 0; t < tokens; t++)
                gate[t * 8] = 1;
            predictor.Begin([.. Enumerable.Range(0, tokens).Select(t => t % 32)]);
            predictor.Predict(new LayerRouting(0, tokens, new int[tokens * 2], gate, [new PreGate(1, gate)]), 1, use);
            Assert.All(use, p => Assert.InRange(p, 0, 1));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Gates_that_are_no_numbers_leave_predictions_that_are(int tokens)
    {
        var predictor = new RoutingPredictor(Shape);
        var use = new float[8];
        for (var step = 0; step < 4; step++)
        {
            var routing = Routing(tokens, step);
            if (step == 1)
            {
                Array.Fill(routing.Gate, float.NaN);
                Array.Fill(routing.Ahead[0].Probabilities, float.NaN);
            }
            predictor.Begin([.. Enumerable.Range(0, tokens)]);
            predictor.Learn(0, routing.Chosen);
            predictor.Predict(routing, 1, use);
            Assert.All(use, p => Assert.InRange(p, 0, 1));
            predictor.Learn(1, routing.Chosen);
        }
    }

    [Fact]
    public void What_is_saved_predicts_the_same_and_only_for_its_shape()
    {
        using var folder = new TemporaryDirectory();
        var file = Path.Combine(folder.Path, "predictor");
        var predictor = new RoutingPredictor(Shape);
        Recall(predictor, 0, 100);
        PredictorFile.Write(file, predictor);
        var restored = PredictorFile.Read(file, Shape);
        float[] expected = new float[8], found = new float[8];
        // What was used last is not part of what was learned: both begin anew.
        foreach (var (one, use) in new[] { (predictor, expected), (restored, found) })
        {
            one.Begin([3]);
            one.Learn(0, [0, 1]);
            one.Learn(1, [0, 1]);
            one.Begin([3]);
            one.Predict(Routing(1, 5), 1, use);
        }
        Assert.Equal(expected, found);
        var refused = Assert.Throws<UserInputException>(() => PredictorFile.Read(file, Shape with { Experts = 16 }));
        Assert.Contains("2 layers, 8 experts", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_postponed_is_learned_later_and_of_too_much_the_last()
    {
        RoutingPredictor now = new(Shape), later = new(Shape);
        float[] expected = new float[8], found = new float[8];
        const int Steps = RoutingPredictor.MostPostponed + 10;
        for (var step = 0; step < Steps; step++)
        {
            foreach (var predictor in new[] { now, later })
            {
                predictor.Begin([step % 4]);
                predictor.Predict(null, 1, found);
            }
            // The others teach nothing that lasts, where only the last of them are kept.
            now.Learn(0, [step % 4, 7]);
            later.Learn(0, [step % 4, 7], postpone: step < Steps - 1);
            if (step == Steps - 2)
                Assert.All(found, probability => Assert.Equal(0.25, probability, 2));
        }
        foreach (var (predictor, use) in new[] { (now, expected), (later, found) })
        {
            predictor.Begin([1]);
            predictor.Predict(null, 1, use);
        }
        Assert.True(found[7] > 0.7 && found[1] > 0.7 && found[2] < 0.25, string.Join(' ', found));
        Assert.True(expected[7] > 0.7, string.Join(' ', expected));
    }

    [Fact]
    public void What_is_postponed_is_learned_piece_by_piece()
    {
        RoutingPredictor now = new(Shape), later = new(Shape);
        float[] expected = new float[8], found = new float[8];
        for (var step = 0; step < 40; step++)
        {
            foreach (var predictor in new[] { now, later })
            {
                predictor.Begin([step % 4]);
                predictor.Predict(null, 1, found);
                predictor.Learn(0, [step % 4, 7], postpone: predictor == later);
            }
            Assert.True(later.LearnPostponed());
            Assert.False(later.LearnPostponed());
        }
        now.Predict(null, 1, expected);
        later.Predict(null, 1, found);
        Assert.Equal(expected, found);
    }

    [Property(MaxTest = 50)]
    public void A_damaged_file_is_refused(AnyInt position, byte flip)
    {
        using var folder = new TemporaryDirectory();
        var file = Path.Combine(folder.Path, "predictor");
        PredictorFile.Write(file, new RoutingPredictor(Shape));
        var bytes = File.ReadAllBytes(file);
        bytes[(int)((uint)position.Item % bytes.Length)] ^= (byte)(flip | 1);
        File.WriteAllBytes(file, bytes);
        Assert.Throws<UserInputException>(() => PredictorFile.Read(file, Shape));
        File.WriteAllBytes(file, bytes[..((int)((uint)position.Item % bytes.Length))]);
        Assert.Throws<UserInputException>(() => PredictorFile.Read(file, Shape));
    }

    [Theory]
    [InlineData("0 layers, 8 experts, top-2, 32 token ids; this model has 2 layers, 8 experts, top-2, 32 token ids", 0, 8, 2, 32)]
    [InlineData("65535 layers, 65535 experts, top-2, 32 token ids; this model has", 65535, 65535, 2, 32)]
    [InlineData("(layer -2 and distance 1 of 2 layers)", 2, 8, 2, 32, 1, -2, 1)]
    [InlineData("(layer 2 and distance 1 of 2 layers)", 2, 8, 2, 32, 1, 2, 1)]
    [InlineData("(layer 0 and distance 0 of 2 layers)", 2, 8, 2, 32, 1, 0, 0)]
    [InlineData("(layer 0 and distance 3 of 2 layers)", 2, 8, 2, 32, 1, 0, 3)]
    [InlineData("(row -1 after -1, of 32)", 2, 8, 2, 32, 0, 1, -1)]
    [InlineData("(row 32 after -1, of 32)", 2, 8, 2, 32, 0, 1, 32)]
    [InlineData("(row 3 after 3, of 32)", 2, 8, 2, 32, 0, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0x3a83126f, 3)]
    [InlineData("(a weight or a sum is 3E+38; it must be from -1000000 to 1000000)", 2, 8, 2, 32, 0, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0x7f61b1e6)]
    [InlineData("(a weight or a sum is 0; it must be from 0.001 to 1E+12)", 2, 8, 2, 32, 0, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0)]
    [InlineData("(a weight or a sum is Infinity; it must be from 0.001 to 1E+12)", 2, 8, 2, 32, 0, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f800000)]
    public void Numbers_in_a_file_that_make_no_sense_are_named(string message, params int[] numbers)
    {
        using var folder = new TemporaryDirectory();
        var file = Path.Combine(folder.Path, "predictor");
        BinaryFile.Write(file, "MOEBPRD1"u8, 4, writer => Array.ForEach(numbers, writer.Write));
        Assert.Contains(message, Assert.Throws<UserInputException>(() => PredictorFile.Read(file, Shape)).Message, StringComparison.Ordinal);
    }

    /// <summary>Numbers that are finite and too large: what is computed from them is not.</summary>
    [Theory]
    [InlineData(0, 3e38f, "-1000000 to 1000000")]
    [InlineData(0, -2e6f, "-1000000 to 1000000")]
    [InlineData(64, 2e6f, "-1000000 to 1000000")]
    [InlineData(72, -1f, "0.001 to 1E+12")]
    [InlineData(80, 2e12f, "0.001 to 1E+12")]
    [InlineData(88, 2e7f, "0 to 16777216")]
    [InlineData(88, -1f, "0 to 16777216")]
    public void Numbers_that_a_prediction_cannot_be_made_of_are_refused(int place, float value, string bounds)
    {
        using var folder = new TemporaryDirectory();
        var file = Path.Combine(folder.Path, "predictor");
        // Of one gate from the token ids: 8 x 8 weights, 8 constants, 8 and 8 sums, and how many examples they are of.
        float[] gate = [.. Enumerable.Repeat(0f, 72), .. Enumerable.Repeat(1f, 17)];
        gate[place] = value;
        BinaryFile.Write(file, "MOEBPRD1"u8, 4, writer =>
        {
            Array.ForEach([2, 8, 2, 32, 1, -1, 1], writer.Write);
            Array.ForEach(gate, writer.Write);
            Array.ForEach([0, 0, 0, 0], writer.Write);
        });
        Assert.EndsWith($"it must be from {bounds}): make it again with moebius predictor", Assert.Throws<UserInputException>(() => PredictorFile.Read(file, Shape)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_each_layer_says_of_every_later_one_is_saved()
    {
        using var folder = new TemporaryDirectory();
        var file = Path.Combine(folder.Path, "predictor");
        var predictor = new RoutingPredictor(Shape);
        var use = new float[8];
        var gates = Enumerable.Range(1, 2).Select(step => Routing(1, step).Gate).ToArray();
        predictor.Begin([1]);
        for (var layer = 0; layer < 2; layer++)
        {
            for (var distance = 1; distance <= 2; distance++)
                predictor.Predict(Routing(1, 3) with { Layer = layer, Ahead = [.. gates.Select((gate, i) => new PreGate((layer + 1 + i) % 2, gate))] }, distance, use);
        }
        PredictorFile.Write(file, predictor);
        PredictorFile.Write(file + ".again", PredictorFile.Read(file, Shape));
        Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(file + ".again"));
    }

    private static double Recall(RoutingPredictor predictor, int first, int steps)
    {
        var use = new float[8];
        var hits = 0;
        for (var step = first; step < first + steps; step++)
        {
            predictor.Begin([0]);
            var routing = Routing(1, step);
            predictor.Predict(routing, 1, use);
            int[] best = [.. Enumerable.Range(0, 8).OrderByDescending(e => routing.Ahead[0].Probabilities[e]).Take(2)];
            int[] truth = [(best[0] + 1) % 8, (best[0] + 2) % 8];
            hits += Enumerable.Range(0, 8).OrderByDescending(e => use[e]).Take(2).Intersect(truth).Count();
            predictor.Learn(0, [0, 1]);
            predictor.Learn(1, truth);
        }
        return hits / (2.0 * steps);
    }

    /// <summary>A pre-gate whose two best experts are neighbours, the second before the first.</summary>
    private static LayerRouting Routing(int tokens, int step)
    {
        var gate = new float[tokens * 8];
        for (var t = 0; t < tokens; t++)
        {
            Array.Fill(gate, 0.02f, t * 8, 8);
            gate[t * 8 + (step * 5 + t) % 8] = 0.6f;
            gate[t * 8 + (step * 5 + t + 7) % 8] = 0.28f;
        }
        return new LayerRouting(0, tokens, new int[tokens * 2], gate, [new PreGate(1, gate)]);
    }
}
