using System.Buffers;
using System.Collections.Frozen;
using System.Numerics.Tensors;
using Moebius.Inference.Constraints;

namespace Moebius.Inference.Engine;

/// <summary>
/// Chooses tokens for one sequence. The choice depends on the logits, the settings and the sequence's own history
/// only, never on what else is in the batch.
/// </summary>
internal sealed class Sampler
{
    /// <summary>Share from which the likeliest tokens are drawn from all.</summary>
    private const double MostOfTheMass = 0.6;

    /// <summary>Draws from all before the likeliest are looked for; with the least share one in a million needs more.</summary>
    private const int MostDraws = 16;

    private readonly SamplingSettings _settings;
    private readonly Dictionary<int, int> _generated = [];
    private readonly int[] _prompt;
    private readonly bool _penalises, _biased;
    private HashSet<int>? _seen;
    private ulong _state;

    public Sampler(SamplingSettings settings, int[] prompt)
    {
        _settings = settings;
        _penalises = settings.RepetitionPenalty != 1 || settings.PresencePenalty != 0 || settings.FrequencyPenalty != 0;
        _biased = settings.LogitBias.Count > 0;
        _prompt = prompt;
        _state = unchecked((ulong)(settings.Seed ?? Random.Shared.NextInt64()));
    }

    /// <summary>Chooses the next token and remembers it.</summary>
    /// <param name="logits">One row; it is changed.</param>
    /// <param name="constraint">What the output must look like; null: anything.</param>
    /// <param name="excluded">Tokens that are not chosen; null: all may be.</param>
    /// <exception cref="InvalidDataException">The logits hold no finite number, or the constraint cannot be followed.</exception>
    public ChosenToken Next(Span<float> logits, OutputConstraint? constraint = null, IReadOnlySet<int>? excluded = null)
    {
        var report = _settings.Logprobs is { } count ? new LogprobReport(logits, count) : null;
        if (_biased || _penalises)
            Adjust(logits);
        constraint?.Restrict(logits);
        foreach (var barred in excluded ?? FrozenSet<int>.Empty)
        {
            if ((uint)barred < (uint)logits.Length)
                logits[barred] = float.NegativeInfinity;
        }

        var token = _settings.Temperature <= 0 || _settings.TopK == 1 ? Largest(logits) : Draw(logits);
        if (_penalises)
            _generated[token] = _generated.GetValueOrDefault(token) + 1;
        _seen?.Add(token);
        return report is { } lines ? lines.For(token) : new ChosenToken(new TokenLogprob(token, 0), []);
    }

    private void Adjust(Span<float> logits)
    {
        foreach (var (token, bias) in _settings.LogitBias)
        {
            if ((uint)token < (uint)logits.Length)
                logits[token] += bias;
        }

        if (_settings.RepetitionPenalty != 1)
        {
            // Gathered with the first choice, which the threads make side by side, not when the engine takes the request.
            foreach (var token in _seen ??= [.. _prompt])
            {
                if ((uint)token < (uint)logits.Length)
                    logits[token] = (float)(logits[token] > 0 ? logits[token] / _settings.RepetitionPenalty : logits[token] * _settings.RepetitionPenalty);
            }
        }

        if (_settings.PresencePenalty == 0 && _settings.FrequencyPenalty == 0)
            return;
        foreach (var (token, times) in _generated)
            logits[token] -= (float)(_settings.PresencePenalty + (_settings.FrequencyPenalty * times));
    }

    private static int Largest(ReadOnlySpan<float> logits) => TokenRanking.Largest(logits) is var best and >= 0 ? best : throw Unusable();

    private static float LargestValue(ReadOnlySpan<float> logits) =>
        TokenRanking.LargestValue(logits) is var largest && !float.IsNegativeInfinity(largest) ? largest : throw Unusable();

    /// <summary>What is taken off a logit for its logarithm of probability: the logarithm of the sum of all exponentials.</summary>
    /// <exception cref="InvalidDataException">The logits hold no finite number.</exception>
    public static double LogSum(ReadOnlySpan<float> logits)
    {
        var largest = LargestValue(logits);
        var sum = 0.0;
        var powers = ArrayPool<float>.Shared.Rent(logits.Length);
        TensorPrimitives.Subtract(logits, largest, powers);
        TensorPrimitives.Exp(powers.AsSpan(0, logits.Length), powers);
        foreach (var power in powers.AsSpan(0, logits.Length))
            sum += float.IsNaN(power) ? 0 : power;
        ArrayPool<float>.Shared.Return(powers);
        return largest + Math.Log(sum);
    }

    private static InvalidDataException Unusable() => new("the model computed no usable logits");

    private int Draw(ReadOnlySpan<float> logits)
    {
        var largest = LargestValue(logits);
        if (_settings.TopK > 0 && _settings.TopK < logits.Length)
            return DrawFromTop(logits, largest);
        using var weights = new TokenWeights(logits, largest, _settings.Temperature, _settings.MinP);
        return _settings.TopP < 1 ? DrawLikeliest(weights) : weights.Pick(Uniform());
    }

    private int DrawFromTop(ReadOnlySpan<float> logits, float largest)
    {
        var best = TokenRanking.Top(logits, _settings.TopK);
        var ranked = best.Length <= 256 ? stackalloc float[best.Length] : new float[best.Length];
        for (var i = 0; i < best.Length; i++)
            ranked[i] = logits[best[i]];
        using var weights = new TokenWeights(ranked, largest, _settings.Temperature, _settings.MinP);
        return best[_settings.TopP < 1 ? DrawLikeliest(weights) : weights.Pick(Uniform())];
    }

    /// <summary>
    /// Draws among the likeliest: from all until one of the likeliest comes, which is the same distribution and, where they have most
    /// of the mass, less work than to find out which they are.
    /// </summary>
    private int DrawLikeliest(in TokenWeights weights)
    {
        for (var i = 0; _settings.TopP >= MostOfTheMass && i < MostDraws; i++)
        {
            var token = weights.Pick(Uniform());
            if (weights.IsLikeliest(token, _settings.TopP))
                return token;
        }
        return weights.PickLikeliest(_settings.TopP, Uniform());
    }

    // SplitMix64: the sequence of a seed is part of the product's promise, so it must not be the runtime's to change.
    private double Uniform()
    {
        unchecked
        {
            _state += 0x9E3779B97F4A7C15;
            var mixed = _state;
            mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
            mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
            return ((mixed ^ (mixed >> 31)) >> 11) * (1.0 / (1UL << 53));
        }
    }

    private sealed class LogprobReport
    {
        private readonly float[] _logits;
        private readonly double _offset;
        private readonly List<TokenLogprob> _top;

        public LogprobReport(ReadOnlySpan<float> logits, int count)
        {
            _logits = logits.ToArray();
            _offset = LogSum(logits);
            _top = [.. TokenRanking.Top(logits, count).Select(Of)];
        }

        public ChosenToken For(int token) => new(Of(token), _top);

        private TokenLogprob Of(int token) => new(token, (float)(_logits[token] - _offset));
    }
}
