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
        var report = settings.Logprobs is { } count ? new LogprobReport(logits, count) : (LogprobReport?)null;
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

    private static int Largest(ReadOnlySpan<float> logits)
    {
        var best = -1;
        for (var i = 0; i < logits.Length; i++)
        {
            if (!float.IsNaN(logits[i]) && (best < 0 || logits[i] > logits[best]))
                best = i;
        }

        return best >= 0 && !float.IsNegativeInfinity(logits[best]) ? best : throw new InvalidDataException("the model computed no usable logits");
    }

    private int Draw(ReadOnlySpan<float> logits)
    {
        var largest = logits[Largest(logits)];
        var candidates = new List<(int Token, double Weight)>(256);
        for (var i = 0; i < logits.Length; i++)
        {
            var weight = Math.Exp((logits[i] - largest) / settings.Temperature);
            if (weight > 0 && weight >= settings.MinP)
                candidates.Add((i, weight));
        }

        if (settings.TopK > 0 || settings.TopP < 1)
        {
            // Equal weights keep the order of their ids, so that the cut is the same on every machine.
            candidates.Sort(static (left, right) => right.Weight != left.Weight ? right.Weight.CompareTo(left.Weight) : left.Token.CompareTo(right.Token));
            if (settings.TopK > 0 && candidates.Count > settings.TopK)
                candidates.RemoveRange(settings.TopK, candidates.Count - settings.TopK);
            KeepMass(candidates);
        }

        var target = Uniform() * candidates.Sum(candidate => candidate.Weight);
        foreach (var (token, weight) in candidates)
        {
            target -= weight;
            if (target < 0)
                return token;
        }

        return candidates[^1].Token;
    }

    private void KeepMass(List<(int Token, double Weight)> candidates)
    {
        var mass = settings.TopP * candidates.Sum(candidate => candidate.Weight);
        for (var i = 0; i < candidates.Count; i++)
        {
            mass -= candidates[i].Weight;
            if (mass <= 0)
            {
                candidates.RemoveRange(i + 1, candidates.Count - i - 1);
                return;
            }
        }
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

    private readonly struct LogprobReport
    {
        private readonly float[] logprobs;
        private readonly List<TokenLogprob> top;

        public LogprobReport(ReadOnlySpan<float> logits, int count)
        {
            var largest = logits[Largest(logits)];
            var sum = 0.0;
            foreach (var logit in logits)
                sum += float.IsNaN(logit) ? 0 : Math.Exp(logit - largest);
            var offset = largest + Math.Log(sum);
            logprobs = new float[logits.Length];
            for (var i = 0; i < logits.Length; i++)
                logprobs[i] = (float)(logits[i] - offset);
            var all = logprobs;
            top = [.. Enumerable.Range(0, logits.Length).OrderByDescending(token => all[token]).Take(count).Select(token => new TokenLogprob(token, all[token]))];
        }

        public ChosenToken For(int token) => new(new TokenLogprob(token, logprobs[token]), top);
    }
}
