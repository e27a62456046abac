using Moebius.Inference.Prediction;

namespace Moebius.Inference.Tests.Prediction;

public class LinearGateTests
{
    [Property]
    public void It_computes_and_learns_what_the_formula_says(byte inputs, byte outputs, AnyInt seed)
    {
        int n = inputs % 70 + 1, m = outputs % 40 + 1;
        var random = new Random(seed.Item);
        var gate = new LinearGate(n, m);
        var weights = new double[m, n + 1];
        double[] errors = [.. Enumerable.Repeat(1e-3, m)], squares = [.. Enumerable.Repeat(1e-3, n)];
        for (var o = 0; o < m; o++)
        {
            for (var i = 0; i <= n; i++)
                weights[o, i] = i == n ? 0 : gate.Weights(o)[i] = random.NextSingle() - 0.5f;
        }
        float[] x = new float[n], logits = new float[m], error = new float[m];
        for (var lesson = 0; lesson < 20; lesson++)
        {
            for (var i = 0; i < n; i++)
            {
                x[i] = 4 * random.NextSingle() - 2;
                squares[i] += x[i] * x[i];
            }
            gate.Run(x, logits);
            for (var o = 0; o < m; o++)
            {
                var expected = weights[o, n];
                for (var i = 0; i < n; i++)
                    expected += weights[o, i] * x[i];
                Assert.Equal(expected, logits[o], 2e-2 * (1 + Math.Abs(expected)));
                error[o] = 1 / (1 + MathF.Exp(-logits[o])) - random.Next(2);
                if (Math.Abs(error[o]) < LinearGate.Negligible)
                    continue;
                errors[o] += error[o] * error[o];
                for (var i = 0; i <= n; i++)
                    weights[o, i] -= 0.05 * error[o] * (i == n ? 1 : x[i] / Math.Sqrt(squares[i] / (lesson + 1))) / Math.Sqrt(errors[o]);
            }
            gate.Learn(x, error);
        }
    }
}
