using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Inference.Engine;
using Moebius.Inference.Kernels;
using Moebius.Inference.Models;
using Moebius.Inference.Server;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Bench.Inference;

/// <summary>
/// What a step of the engine costs beside tensor maths, with 16 sequences that decode: planning, the choice of experts,
/// sampling, text, and everything else between the beginning of the first such step and the end of the last.
/// </summary>
internal static class StepBench
{
    private const int Sequences = 16;
    private const int Threads = 2;
    private const int Repeats = 5;

    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(3);

    private static readonly StepPart[] Maths =
    [
        StepPart.Norms, StepPart.Projections, StepPart.Attention, StepPart.RouterProduct, StepPart.Experts, StepPart.Combine, StepPart.DenseFeedForward, StepPart.Head,
    ];

    private static readonly (string Name, SamplingSettings Settings)[] Samplings =
    [
        ("greedy", new SamplingSettings { Temperature = 0 }),
        ("temperature 0.8, top-p 0.95", new SamplingSettings { Temperature = 0.8, TopP = 0.95, Seed = 1 }),
    ];

    public static Task LargeAsync() => MeasureAsync("2.5 GB model", LargeModel.Ensure(), 24);

    public static Task SmallAsync() => MeasureAsync("demonstration model", Path.Combine(RepositoryFiles.Root, "samples", "models", "austen-moe"), 200);

    private static async Task MeasureAsync(string name, string directory, int output)
    {
        Report.Title(
            $"A step of the engine outside tensor maths, {Sequences} sequences, {Threads} threads ({Repeats} repeats)",
            "model", "sampling", "step, us", "outside, us", "choosing experts", "other work in the model", "choosing tokens", "plans, text, events, garbage", "share of the step", "bar", "");
        using var loaded = ModelLoader.Load(directory, new ModelLoadOptions { Threads = Threads });
        var tokenizer = Tokenizer.Load(directory);
        foreach (var (sampling, settings) in Samplings)
        {
            // The first runs are for the compiler: what is called once in a step is compiled again after some hundred.
            for (var begun = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(begun) < WarmUp;)
                await RunAsync(loaded, tokenizer, settings, output);
            await Task.Delay(300);
            var runs = new List<Measured>();
            for (var repeat = 0; repeat < Repeats; repeat++)
                runs.Add(await RunAsync(loaded, tokenizer, settings, output));
            var share = Spread.Of(runs.Select(run => 100 * run.Outside / run.Step));
            Report.Row(name, sampling, Spread.Of(runs.Select(run => run.Step)).Text("F0"), Spread.Of(runs.Select(run => run.Outside)).Text("F0"),
                Median(run => run.Experts), Median(run => run.InModel), Median(run => run.Tokens), Median(run => run.Outside - run.Experts - run.InModel - run.Tokens), share.Text("F1", "%"), "<= 5%", Report.AtMost(share.Median, 5));

            string Median(Func<Measured, double> of) => Spread.Of(runs.Select(of)).Text("F0");
        }
    }

    private static async Task<Measured> RunAsync(ICausalModel loaded, Tokenizer tokenizer, SamplingSettings settings, int output)
    {
        var model = new TimedModel(loaded);
        var engine = new InferenceEngine(
            model, tokenizer, new NoPrefixCache(), new ServerMetrics("bench"), new SchedulerLimits(Sequences, 512, loaded.Info.BlockTokens, 4096), Sequences, TimeProvider.System, NullLogger.Instance);
        await using (engine)
        {
            engine.Start();
            var requests = Enumerable.Range(0, Sequences).Select(i => new EngineRequest([.. Enumerable.Range(0, 16).Select(t => 5 + (i * 31 + t * 17) % 4000)], settings, output, new Tenant($"t{i}", false)) { IgnoreEndOfSequence = true });
            var generations = requests.Select(request => engine.Submit([request])[0]).ToList();
            await Task.WhenAll(generations.Select(async generation =>
            {
                await foreach (var _ in generation.Events.Reader.ReadAllAsync())
                {
                }
            }));
        }
        ((Decoder)loaded).Profile = null;
        return model.Result();
    }

    /// <summary>Microseconds of a step, outside of tensor maths but for the first.</summary>
    /// <param name="Step">All of it.</param>
    /// <param name="Outside">All that is not tensor maths.</param>
    /// <param name="Experts">The choice of experts and the grouping of rows.</param>
    /// <param name="InModel">Everything else in the model.</param>
    /// <param name="Tokens">The choice of tokens, on all threads.</param>
    private readonly record struct Measured(double Step, double Outside, double Experts, double InModel, double Tokens);

    /// <summary>Passes everything on, and times steps of one token for each of all sequences.</summary>
    private sealed class TimedModel(ICausalModel model) : ICausalModel
    {
        private readonly StepProfile _profile = new();
        private long _begun, _ended, _choosing, _chosen;
        private int _steps;

        public ModelInfo Info => model.Info;

        public ExpertStatistics Experts => model.Experts;

        public ISequenceKv CreateSequence() => model.CreateSequence();

        public void ForEach(int count, Action<int> body)
        {
            var begun = Stopwatch.GetTimestamp();
            model.ForEach(count, body);
            if (_steps > 0)
                _choosing += Stopwatch.GetTimestamp() - begun;
        }

        public void Return(IReadOnlyList<float[]> logits) => model.Return(logits);

        public IReadOnlyList<float[]> Forward(IReadOnlyList<SequenceChunk> chunks)
        {
            if (chunks.Count < Sequences || chunks.Any(chunk => chunk.Tokens.Length > 1))
            {
                ((Decoder)model).Profile = null;
                return model.Forward(chunks);
            }
            if (_steps == 0)
                _begun = Stopwatch.GetTimestamp();
            // What comes after the last step is not counted.
            _chosen = _choosing;
            ((Decoder)model).Profile = _profile;
            var logits = model.Forward(chunks);
            _ended = Stopwatch.GetTimestamp();
            _steps++;
            return logits;
        }

        public Measured Result()
        {
            if (_steps < 2)
                throw new InvalidOperationException($"only {_steps} steps had all {Sequences} sequences");
            var maths = Maths.Sum(part => _profile.Of(part).TotalMicroseconds);
            var inModel = Enum.GetValues<StepPart>().Sum(part => _profile.Of(part).TotalMicroseconds) - maths;
            var all = Stopwatch.GetElapsedTime(_begun, _ended).TotalMicroseconds;
            var experts = _profile.Of(StepPart.Routing).TotalMicroseconds;
            var tokens = Stopwatch.GetElapsedTime(0, _chosen).TotalMicroseconds;
            return new Measured(all / _steps, (all - maths) / _steps, experts / _steps, (inModel - experts) / _steps, tokens / _steps);
        }

        public void Dispose()
        {
        }
    }
}
