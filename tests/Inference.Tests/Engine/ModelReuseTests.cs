using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Inference.Engine;
using Moebius.Inference.Models;
using Moebius.Inference.Server;

namespace Moebius.Inference.Tests.Engine;

/// <summary>Every miniature model behind the engine, with a prefix cache and too little memory: greedy tokens stay what they are alone.</summary>
public class ModelReuseTests
{
    private const int Outputs = 24;

    /// <summary>Two sequences that both fit at first, and of which one has to go before the other ends.</summary>
    private const int TightBlocks = 7;

    // The smallest of their vocabularies has 96 tokens.
    private static readonly int[] Prompt = [.. Enumerable.Range(0, 40).Select(i => 3 + (i * 37 % 90))];

    private static readonly int[] Other = [.. Prompt.Reverse()];

    public static TheoryData<string> Models => TestModels.All();

    [Theory]
    [MemberData(nameof(Models))]
    public async Task Reuse_and_preemption_change_no_token(string name)
    {
        using var model = TestModels.Load(Path.Combine(TestModels.Data, name));
        var alone = new Dictionary<int[], List<int>>();
        await using (var engine = Start(model, new NoPrefixCache(), 100))
        {
            foreach (var prompt in new[] { Prompt, Other })
                alone[prompt] = await RunAsync(engine, prompt);
        }

        var cache = new MemoryPrefixCache { BlockTokens = model.Info.BlockTokens, BlockBytes = model.Info.BlockBytes };
        await using (var engine = Start(model, cache, TightBlocks))
        {
            for (var round = 0; round < 2; round++)
            {
                var generations = engine.Submit([Request(Prompt), Request(Other)]);
                Assert.Equal(alone[Prompt], await CollectAsync(generations[0]));
                Assert.Equal(alone[Other], await CollectAsync(generations[1]));
                // Two full blocks of each prompt at least; the last offer follows the end of the answer.
                await Eventually.TrueAsync(() => Volatile.Read(ref cache.Open) == 0 && (model.Info.KvDependsOnLength || cache.Count >= 4));
                var reusable = model.Info.KvDependsOnLength || round == 0 ? 0 : 2 * model.Info.BlockTokens;
                Assert.Equal(reusable, generations[0].CachedTokens);
            }
        }

        Assert.Equal(model.Info.KvDependsOnLength, cache.Count == 0);
    }

    private static InferenceEngine Start(ICausalModel model, IPrefixCache cache, int blocks)
    {
        var engine = new InferenceEngine(
            model, EngineHarness.Tokenizer, cache, new ServerMetrics("m"), new SchedulerLimits(4, 32, model.Info.BlockTokens, blocks), 100, TimeProvider.System, NullLogger.Instance);
        engine.Start();
        return engine;
    }

    private static EngineRequest Request(int[] prompt) => EngineHarness.Greedy(prompt, Outputs, "alice");

    private static async Task<List<int>> RunAsync(InferenceEngine engine, int[] prompt) => await CollectAsync(engine.Submit([Request(prompt)])[0]);

    private static async Task<List<int>> CollectAsync(Generation generation)
    {
        var (_, tokens, finish) = await EngineHarness.CollectAsync(generation);
        Assert.Contains(finish, new[] { FinishReason.Length, FinishReason.Stop });
        return tokens;
    }
}
