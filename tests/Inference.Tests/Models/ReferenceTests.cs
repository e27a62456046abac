using Moebius.Inference.Models;
using Moebius.Inference.Verify;

namespace Moebius.Inference.Tests.Models;

/// <summary>Every family and switch against the reference implementation, with all experts and with the fewest.</summary>
public class ReferenceTests
{
    public static TheoryData<string> Models => TestModels.All();

    [Theory]
    [MemberData(nameof(Models))]
    public void Logits_and_greedy_tokens_match_with_all_experts_resident(string model)
    {
        var result = Verify(model, null);
        Assert.True(result.Passed, result.ToString());
        Assert.Equal(0, result.ExpertMisses);
        Assert.True(result.ExpertHits > 0);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Logits_and_greedy_tokens_match_at_one_layers_top_k_experts(string model)
    {
        var budget = TestModels.SmallestBudget(Path.Combine(TestModels.Data, model));
        var result = Verify(model, budget);
        Assert.True(result.Passed, result.ToString());
        Assert.True(result.ExpertEvictions > 0);
        Assert.True(result.ExpertResidentBytes <= budget, result.ToString());
    }

    private static VerifyResult Verify(string model, long? budget) =>
        ModelVerifier.Verify(Path.Combine(TestModels.Data, model), new ModelLoadOptions { ExpertBudgetBytes = budget, Threads = 1 });
}
