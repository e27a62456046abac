using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Moebius.Crds.V1Alpha1;
using Moebius.KvCache.Detection;
using Moebius.KvCache.Detection.Classifier;
using Moebius.KvCache.Policy;
using Moebius.KvCache.Service;
using Moebius.KvCache.Tests.Index;

namespace Moebius.KvCache.Tests.Detection;

public sealed class ClassificationQueueTests
{
    private static readonly CompiledPolicy Policy = PolicyCompiler.Compile(
        new KVPrivacyPolicySpec { Classifier = new ClassifierSpec { Type = ClassifierType.BuiltIn }, Promotion = new PromotionSpec { MaxDelay = "1ms" } }, 1, "test");

    [Theory]
    [InlineData(typeof(OutOfMemoryException))]
    [InlineData(typeof(InvalidOperationException))]
    [InlineData(typeof(OperationCanceledException))]
    public async Task What_fails_leaves_its_blocks_private_says_so_without_the_text_and_does_not_end_the_queue(Type failure)
    {
        var harness = new IndexHarness(64);
        var logs = new ErrorLog();
        var metrics = new CacheMetrics();
        var classifier = new FailingClassifier(failure);
        await using var queue = new ClassificationQueue(() => Policy with { Tiers = new DetectionTiers(classifier, null) }, metrics, TimeProvider.System, logs);
        queue.Start();

        Cache("It is harmless.\n");
        await Eventually.TrueAsync(() => queue.Pending == 0);
        Assert.Equal(0, harness.Hits(2, "It is harmless.\n"));
        var line = Assert.Single(logs.Lines);
        Assert.Contains(failure.Name, line, StringComparison.Ordinal);
        // Where it came from.
        Assert.Contains(nameof(FailingClassifier), line, StringComparison.Ordinal);
        Assert.DoesNotContain("harmless", line, StringComparison.Ordinal);
        Assert.Equal(1, metrics.ClassificationsFailed.Value);

        classifier.Fails = false;
        Cache("So is this one.\n");
        await Eventually.TrueAsync(() => queue.Pending == 0);
        Assert.Equal("So is this one.\n".Length, harness.Hits(2, "So is this one.\n"));

        void Cache(string text)
        {
            harness.Cache(1, text);
            // The harness makes two tokens of each letter.
            uint[] bytes = [.. text.SelectMany(static _ => new uint[] { 0, 1 })];
            queue.Add(new ClassificationJob(
                harness.Index, harness.Root, IndexHarness.Tenant(1), false, IndexHarness.Tokens(text), System.Text.Encoding.UTF8.GetBytes(text), bytes, 0, text.Length));
        }
    }

    private sealed class FailingClassifier(Type failure) : IPrivacyClassifier
    {
        public bool Fails { get; set; } = true;

        public IReadOnlyList<PassageScore> Score(IReadOnlyList<string> passages) => Fails
            ? throw (Exception)Activator.CreateInstance(failure, $"cannot read {passages[0]}")!
            : [.. passages.Select(static _ => PassageScore.Harmless)];
    }

    private sealed class ErrorLog : ILogger
    {
        public ConcurrentQueue<string> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (logLevel >= LogLevel.Error)
                Lines.Enqueue(formatter(state, exception) + exception);
        }
    }
}
