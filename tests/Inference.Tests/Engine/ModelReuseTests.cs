using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Inference.Engine;
using Moebius.Inference.Models;
using Moebius.Inference.Server;

namespace Moebius.Inference.Tests.Engine;

/// <summary>Every miniature model behind the engine, with a prefix cache and too little memory: greedy tokens stay what they are alone.</summary>
public class ModelReuseTests
{
    private const int Outputs = 24;

    public static MatrixTheoryData<string, int> Models => new(TestModels.All().Select(row => row.Data), [40, 20]);

    [Theory]
    [MemberData(nameof(Models))]
    public async Task Reuse_and_preemption_change_no_token(string name, int length)
    {
        using var model = TestModels.Load(Path.Combine(TestModels.Data, name));
        // The smallest of their vocabularies has 96 tokens.
        int[] prompt = [.. Enumerable.Range(0, length).Select(i => 3 + (i * 37 % 90))], other = [.. prompt.Reverse()];
        var alone = new Dictionary<int[], List<int>>();
        await using (var engine = Start(model, new NoPrefixCache(), 100))
        {
            foreach (var each in new[] { prompt, other })
                alone[each] = await CollectAsync(engine.Submit([Request(each)])[0]);
        }

        var tokens = model.Info.BlockTokens;
        // With its first token the prompt is offered; one that is too long then is not.
        var shared = length < model.Info.KvSharedUpTo;
        var cache = new MemoryPrefixCache { BlockTokens = tokens, BlockBytes = model.Info.BlockBytes };
        // Both fit at first, and one has to go before the other ends.
        await using (var engine = Start(model, cache, blocks: 2 * ((length + Outputs) / tokens) - 1))
        {
            await RoundAsync();
            // An answer of one token ends before it is too long to be shared, however late the cache has room.
            foreach (var each in new[] { prompt, other })
                await CollectAsync(engine.Submit([Request(each, 1)])[0]);
            await Eventually.TrueAsync(() => Volatile.Read(ref cache.Open) == 0 && (!shared || cache.Count >= 2 * (length / tokens)));
            Assert.Equal(shared ? (length - 1) / tokens * tokens : 0, await RoundAsync());

            async Task<int> RoundAsync()
            {
                var generations = engine.Submit([Request(prompt), Request(other)]);
                Assert.Equal(alone[prompt], await CollectAsync(generations[0]));
                Assert.Equal(alone[other], await CollectAsync(generations[1]));
                return generations[0].CachedTokens;
            }
        }

        Assert.Equal(shared, cache.Count > 0);
    }

    private static InferenceEngine Start(ICausalModel model, IPrefixCache cache, int blocks)
    {
        var engine = new InferenceEngine(
            model, EngineHarness.Tokenizer, cache, new ServerMetrics("m"), new SchedulerLimits(4, 32, model.Info.BlockTokens, blocks), 100, TimeProvider.System, NullLogger.Instance);
        engine.Start();
        return engine;
    }

    private static EngineRequest Request(int[] prompt, int outputs = Outputs) => EngineHarness.Greedy(prompt, outputs, "alice");

    private static async Task<List<int>> CollectAsync(Generation generation)
    {
        var (_, tokens, finish) = await EngineHarness.CollectAsync(generation);
        Assert.Contains(finish, new[] { FinishReason.Length, FinishReason.Stop });
        return tokens;
    }
}
