using System.Buffers;
using System.Numerics.Tensors;
using Moebius.Inference.Constraints;

namespace Moebius.Inference.Engine;

/// <summary>
/// Chooses tokens for one sequence. The choice depends on the logits, the settings and the sequence's own history
/// only, never on what else is in the batch.
/// </summary>
internal sealed class Sampler
{
    private readonly SamplingSettings settings;
    private readonly Dictionary<int, int> generated = [];
    private readonly HashSet<int> seen;
    private ulong state;

    public Sampler(SamplingSettings settings, ReadOnlySpan<int> prompt)
    {
        this.settings = settings;
        seen = [];
        if (settings.RepetitionPenalty != 1)
        {
            foreach (var token in prompt)
                seen.Add(token);
        }

        state = unchecked((ulong)(settings.Seed ?? Random.Shared.NextInt64()));
    }

    /// <summary>Chooses the next token and remembers it.</summary>
    /// <param name="logits">One row; it is changed.</param>
    /// <param name="constraint">What the output must look like; null: anything.</param>
    /// <exception cref="InvalidDataException">The logits hold no finite number, or the constraint cannot be followed.</exception>
    public ChosenToken Next(Span<float> logits, OutputConstraint? constraint = null)
    {
        var report = settings.Logprobs is { } count ? new LogprobReport(logits, count) : null;
        Adjust(logits);
        constraint?.Restrict(logits);
        var token = settings.Temperature <= 0 || settings.TopK == 1 ? Largest(logits) : Draw(logits);
        generated[token] = generated.GetValueOrDefault(token) + 1;
        return report is { } lines ? lines.For(token) : new ChosenToken(new TokenLogprob(token, 0), []);
    }

    private void Adjust(Span<float> logits)
    {
        foreach (var (token, bias) in settings.LogitBias)
        {
            if ((uint)token < (uint)logits.Length)
                logits[token] += bias;
        }

        if (settings.RepetitionPenalty != 1)
        {
            foreach (var token in seen.Union(generated.Keys))
            {
                if ((uint)token < (uint)logits.Length)
                    logits[token] = (float)(logits[token] > 0 ? logits[token] / settings.RepetitionPenalty : logits[token] * settings.RepetitionPenalty);
            }
        }

        if (settings.PresencePenalty == 0 && settings.FrequencyPenalty == 0)
            return;
        foreach (var (token, times) in generated)
            logits[token] -= (float)(settings.PresencePenalty + (settings.FrequencyPenalty * times));
    }

    private static int Largest(ReadOnlySpan<float> logits) =>
        TokenRanking.Largest(logits) is var best and >= 0 ? best : throw new InvalidDataException("the model computed no usable logits");

    private int Draw(ReadOnlySpan<float> logits)
    {
        var largest = logits[Largest(logits)];
        double[] rented = ArrayPool<double>.Shared.Rent(logits.Length);
        try
        {
            // With a cut, candidates are in order of their weight and equal ones in that of their ids, so that the cut
            // is the same on every machine; without one, in order of their ids.
            if (settings.TopK > 0 && settings.TopK < logits.Length)
            {
                int[] best = TokenRanking.Top(logits, settings.TopK);
                var weights = rented.AsSpan(0, best.Length);
                for (var i = 0; i < best.Length; i++)
                    weights[i] = Math.Exp((logits[best[i]] - largest) / settings.Temperature);
                KeepLikely(weights);
                var mass = settings.TopP < 1 ? settings.TopP * TensorPrimitives.Sum<double>(weights) : double.PositiveInfinity;
                return best[Pick(weights[..Reaching(weights, ref mass)])];
            }

            var all = rented.AsSpan(0, logits.Length);
            for (var i = 0; i < all.Length; i++)
                all[i] = (logits[i] - largest) / settings.Temperature;
            TensorPrimitives.Exp(all, all);
            KeepLikely(all);
            return settings.TopP < 1 ? PickFromMass(logits, all) : Pick(all);
        }
        finally
        {
            ArrayPool<double>.Shared.Return(rented);
        }
    }

    /// <summary>What is less likely than min-p allows, or no number, has no weight.</summary>
    private void KeepLikely(Span<double> weights)
    {
        foreach (ref var weight in weights)
        {
            if (!(weight >= settings.MinP))
                weight = 0;
        }
    }

    /// <summary>Draws among the likeliest whose weights reach top-p. Looks at a few first: mostly these are enough.</summary>
    private int PickFromMass(ReadOnlySpan<float> logits, ReadOnlySpan<double> all)
    {
        var total = TensorPrimitives.Sum(all);
        for (var count = 32; ; count *= 8)
        {
            int[] best = TokenRanking.Top(logits, count);
            double[] weights = new double[best.Length];
            for (var i = 0; i < best.Length; i++)
                weights[i] = all[best[i]];
            var mass = settings.TopP * total;
            var end = Reaching(weights, ref mass);
            if (mass <= 0 || count >= logits.Length)
                return best[Pick(weights.AsSpan(0, end))];
        }
    }

    /// <summary>How many weights from the first on it takes to reach a mass, which is reduced by them.</summary>
    private static int Reaching(ReadOnlySpan<double> weights, ref double mass)
    {
        for (var i = 0; i < weights.Length; i++)
        {
            mass -= weights[i];
            if (mass <= 0)
                return i + 1;
        }

        return weights.Length;
    }

    /// <summary>Draws an index by weight.</summary>
    private int Pick(ReadOnlySpan<double> weights)
    {
        var sum = 0.0;
        foreach (var weight in weights)
            sum += weight;
        var target = Uniform() * sum;
        var last = 0;
        for (var i = 0; i < weights.Length; i++)
        {
            if (weights[i] == 0)
                continue;
            target -= weights[i];
            if (target < 0)
                return i;
            last = i;
        }

        return last;
    }

    // SplitMix64: the sequence of a seed is part of the product's promise, so it must not be the runtime's to change.
    private double Uniform()
    {
        unchecked
        {
            state += 0x9E3779B97F4A7C15;
            var mixed = state;
            mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
            mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
            return ((mixed ^ (mixed >> 31)) >> 11) * (1.0 / (1UL << 53));
        }
    }

    private sealed class LogprobReport
    {
        private readonly float[] logits;
        private readonly double offset;
        private readonly List<TokenLogprob> top;

        public LogprobReport(ReadOnlySpan<float> logits, int count)
        {
            this.logits = logits.ToArray();
            var largest = logits[Largest(logits)];
            var sum = 0.0;
            var powers = ArrayPool<float>.Shared.Rent(logits.Length);
            TensorPrimitives.Subtract(logits, largest, powers);
            TensorPrimitives.Exp(powers.AsSpan(0, logits.Length), powers);
            foreach (var power in powers.AsSpan(0, logits.Length))
                sum += float.IsNaN(power) ? 0 : power;
            ArrayPool<float>.Shared.Return(powers);
            offset = largest + Math.Log(sum);
            top = [.. TokenRanking.Top(logits, count).Select(Of)];
        }

        public ChosenToken For(int token) => new(Of(token), top);

        private TokenLogprob Of(int token) => new(token, (float)(logits[token] - offset));
    }
}
