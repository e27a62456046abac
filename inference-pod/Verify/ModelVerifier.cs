using Moebius.Crds;
using Moebius.Inference.Models;

namespace Moebius.Inference.Verify;

/// <summary>Outcome of a comparison with the reference; the property names are those of the JSON output.</summary>
/// <param name="Directory">The model.</param>
/// <param name="Architecture">Its <c>model_type</c>.</param>
/// <param name="MaxAbsError">Largest absolute difference of any logit.</param>
/// <param name="Tolerance">What it may be.</param>
/// <param name="GreedyIdentical">Every greedily decoded token is the reference's.</param>
/// <param name="GreedyTokens">Tokens decoded.</param>
/// <param name="ExpertBudgetBytes">Limit of the expert memory.</param>
/// <param name="ExpertResidentBytes">Expert memory in use at the end.</param>
/// <param name="ExpertHits">Expert uses that found the expert resident.</param>
/// <param name="ExpertMisses">Expert uses that waited for a load.</param>
/// <param name="ExpertEvictions">Experts dropped to stay inside the budget.</param>
/// <param name="ExpertTier">Where experts were loaded from and how.</param>
/// <param name="Passed">Within tolerance, and greedy tokens identical.</param>
internal sealed record VerifyResult(
    string Directory,
    string Architecture,
    double MaxAbsError,
    double Tolerance,
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

    public static VerifyResult Verify(string directory, ModelLoadOptions options)
    {
        // The configuration first: a directory that does not exist should be reported as that.
        _ = ModelConfig.Read(directory);
        var expected = ExpectedOutputs.Read(directory);
        using var model = ModelLoader.Load(directory, options);
        Check(directory, model.Info, expected);
        var error = LogitError(model, expected);
        var decoded = expected.GreedyOutputs.Sum(o => o.Length) - expected.GreedyInputs.Sum(i => i.Length);
        var identical = expected.GreedyInputs.Zip(expected.GreedyOutputs).All(p => Greedy(model, p.First, p.Second.Length).SequenceEqual(p.Second));
        var experts = model.Experts;
        return new VerifyResult(directory, model.Info.Architecture, error, Tolerance, identical, decoded,
            experts.BudgetBytes, experts.ResidentBytes, experts.Hits, experts.Misses, experts.Evictions, model.Info.ExpertTier, error <= Tolerance && identical);
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
            var best = 0;
            for (var i = 1; i < logits.Length; i++)
            {
                if (logits[i] > logits[best])
                    best = i;
            }
            tokens.Add(best);
            next = new[] { best };
        }
        return [.. tokens];
    }

    private static double LogitError(ICausalModel model, ExpectedOutputs expected)
    {
        double error = 0;
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
        }
        return error;
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
