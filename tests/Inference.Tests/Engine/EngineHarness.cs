using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Inference.Engine;
using Moebius.Inference.Server;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Tests.Engine;

/// <summary>A running engine over the toy model.</summary>
internal sealed class EngineHarness : IAsyncDisposable
{
    public static readonly Tokenizer Tokenizer = Tokenizer.Load(Fixtures.Model);

    public EngineHarness(int blocks = 1000, int sequences = 8, int batchTokens = 16, int queued = 100, IPrefixCache? cache = null, ToyModel? model = null)
    {
        Model = model ?? new ToyModel();
        Engine = new InferenceEngine(
            Model, Tokenizer, cache ?? new NoPrefixCache(), Metrics, new SchedulerLimits(sequences, batchTokens, Model.Info.BlockTokens, blocks), queued, TimeProvider.System, NullLogger.Instance);
        Engine.Start();
    }

    public ToyModel Model { get; }

    public InferenceEngine Engine { get; }

    public ServerMetrics Metrics { get; } = new("toy");

    public static EngineRequest Greedy(int[] prompt, int tokens, string tenant = "t") =>
        new(prompt, new SamplingSettings { Temperature = 0, Logprobs = 0 }, tokens, new Tenant(tenant, false));

    public Generation Submit(EngineRequest request) => Engine.Submit([request])[0];

    public async Task<(string Text, List<int> Tokens, FinishReason Finish)> RunAsync(EngineRequest request) => await CollectAsync(Submit(request));

    public static Task<(string Text, List<int> Tokens, FinishReason Finish)> CollectAsync(Generation generation) => Eventually.EndsAsync(ReadAsync(generation), "the end of a generation");

    private static async Task<(string Text, List<int> Tokens, FinishReason Finish)> ReadAsync(Generation generation)
    {
        var text = "";
        var tokens = new List<int>();
        FinishReason? finish = null;
        await foreach (var happened in generation.Events.Reader.ReadAllAsync(TestContext.Current.CancellationToken))
        {
            Assert.Null(finish);
            text += happened.Text;
            tokens.AddRange(happened.Tokens.Select(token => token.Chosen.Token));
            finish = happened.Finish;
        }

        return (text, tokens, finish!.Value);
    }

    public async ValueTask DisposeAsync()
    {
        // The engine waits for the step under way.
        Model.Gate.Open();
        await Eventually.EndsAsync(Engine.DisposeAsync().AsTask(), "the end of the engine");
    }
}
