using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Experts;
using Moebius.Inference.Engine;
using Moebius.Inference.Models;

namespace Moebius.Inference.Verify;

/// <summary>Outcome of a comparison with the reference; the property names are those of the JSON output.</summary>
/// <param name="Directory">The model.</param>
/// <param name="Architecture">Its <c>model_type</c>.</param>
/// <param name="MaxAbsError">Largest absolute difference of any logit.</param>
/// <param name="Tolerance">What it may be where experts are as in the checkpoint.</param>
/// <param name="Quantization">How experts were stored: none, int8 or int4.</param>
/// <param name="Divergence">How far next-token distributions are from the reference's: mean Kullback-Leibler divergence in nats.</param>
/// <param name="DivergenceTolerance">What it may be where experts were quantised; null where they were not.</param>
/// <param name="GreedyIdentical">Every greedily decoded token is the reference's.</param>
/// <param name="GreedyTokens">Tokens decoded.</param>
/// <param name="ExpertBudgetBytes">Limit of the expert memory.</param>
/// <param name="ExpertResidentBytes">Expert memory in use at the end.</param>
/// <param name="ExpertHits">Expert uses that found the expert resident.</param>
/// <param name="ExpertMisses">Expert uses that waited for a load.</param>
/// <param name="ExpertEvictions">Experts dropped to stay inside the budget.</param>
/// <param name="ExpertTier">Where experts were loaded from and how.</param>
/// <param name="Passed">Within tolerance, and greedy tokens identical; where experts were quantised, the divergence is within its own.</param>
internal sealed record VerifyResult(
    string Directory,
    string Architecture,
    double MaxAbsError,
    double Tolerance,
    string Quantization,
    double Divergence,
    double? DivergenceTolerance,
    bool GreedyIdentical,
    int GreedyTokens,
    long ExpertBudgetBytes,
    long ExpertResidentBytes,
    long ExpertHits,
    long ExpertMisses,
    long ExpertEvictions,
    string ExpertTier,
    bool Passed);

/// <summary>Compares a model's logits and greedy continuations with the reference implementation's.</summary>
internal static class ModelVerifier
{
    /// <summary>Largest absolute logit error in fp32.</summary>
    public const double Tolerance = 2e-3;

    /// <summary>
    /// What quantised experts may change: ten (int8) and five (int4) times the most that they do in small models of the ten
    /// families and in the demonstration model. Null where nothing is quantised.
    /// </summary>
    public static double? DivergenceTolerance(ExpertQuantization quantization) => quantization switch
    {
        ExpertQuantization.Int8 => 1e-2,
        ExpertQuantization.Int4 => 5e-2,
        _ => null,
    };

    public static VerifyResult Verify(string directory, ModelLoadOptions options)
    {
        // The configuration first: a directory that does not exist should be reported as that.
        _ = ModelConfig.Read(directory);
        var expected = ExpectedOutputs.Read(directory);
        using var model = ModelLoader.Load(directory, options);
        Check(directory, model.Info, expected);
        var (error, divergence) = Compare(model, expected);
        var decoded = expected.GreedyOutputs.Sum(o => o.Length) - expected.GreedyInputs.Sum(i => i.Length);
        var identical = expected.GreedyInputs.Zip(expected.GreedyOutputs).All(p => Greedy(model, p.First, p.Second.Length).SequenceEqual(p.Second));
        var experts = model.Experts;
        var most = DivergenceTolerance(options.Quantization);
        return new VerifyResult(directory, model.Info.Architecture, error, Tolerance, options.Quantization.Name(), divergence, most, identical, decoded,
            experts.BudgetBytes, experts.ResidentBytes, experts.Hits, experts.Misses, experts.Evictions, model.Info.ExpertTier, most is null ? error <= Tolerance && identical : divergence <= most);
    }

    /// <summary>Continues a prompt greedily to a number of tokens; ties go to the lower id.</summary>
    public static int[] Greedy(ICausalModel model, int[] prompt, int length)
    {
        var tokens = new List<int>(prompt);
        using var kv = model.CreateSequence();
        ReadOnlyMemory<int> next = prompt;
        while (tokens.Count < length)
        {
            var logits = model.Forward([new SequenceChunk(kv, next, LogitsFor.Last)])[0];
            // Without a number among them any token is wrong.
            var best = Math.Max(0, TokenRanking.Largest(logits));
            tokens.Add(best);
            next = new[] { best };
        }
        return [.. tokens];
    }

    private static (double Error, double Divergence) Compare(ICausalModel model, ExpectedOutputs expected)
    {
        double error = 0, divergence = 0;
        var positions = 0;
        for (var row = 0; row < expected.Inputs.Length; row++)
        {
            using var kv = model.CreateSequence();
            var logits = model.Forward([new SequenceChunk(kv, expected.Inputs[row], LogitsFor.All)])[0];
            for (var i = 0; i < logits.Length; i++)
            {
                var difference = Math.Abs((double)logits[i] - expected.Logits[row][i]);
                // A NaN compares false with everything: it must not pass as no error.
                error = difference <= error ? error : double.IsNaN(difference) ? double.PositiveInfinity : difference;
            }

            var vocabulary = logits.Length / expected.Inputs[row].Length;
            for (var at = 0; at < logits.Length; at += vocabulary, positions++)
                divergence += Divergence(expected.Logits[row].AsSpan(at, vocabulary), logits.AsSpan(at, vocabulary));
        }

        return (error, divergence / positions);
    }

    /// <summary>Kullback-Leibler divergence of a distribution from the reference's, in nats.</summary>
    private static double Divergence(ReadOnlySpan<float> reference, ReadOnlySpan<float> logits)
    {
        var (all, ours) = (PerplexityMeter.LogSum(reference), PerplexityMeter.LogSum(logits));
        double sum = 0;
        for (var i = 0; i < reference.Length; i++)
        {
            var expected = reference[i] - all;
            sum += Math.Exp(expected) * (expected - (logits[i] - ours));
        }

        return double.IsNaN(sum) ? double.PositiveInfinity : sum;
    }

    private static void Check(string directory, ModelInfo info, ExpectedOutputs expected)
    {
        var path = Path.Combine(directory, ExpectedOutputs.FileName);
        var vocabulary = expected.Logits[0].Length / expected.Inputs[0].Length;
        if (vocabulary != info.VocabularySize)
            throw new UserInputException($"{path}: logits have {vocabulary} columns; the model's vocabulary has {info.VocabularySize}");
        foreach (var row in expected.Inputs.Concat(expected.GreedyOutputs))
        {
            if (row.Length > info.ContextLength)
                throw new UserInputException($"{path}: a sequence of {row.Length} tokens does not fit the model's context of {info.ContextLength}");
            foreach (var token in row)
            {
                if (token >= info.VocabularySize)
                    throw new UserInputException($"{path}: token id {token} is outside the model's vocabulary of {info.VocabularySize}");
            }
        }
    }
}
