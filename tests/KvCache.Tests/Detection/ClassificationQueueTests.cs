using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Moebius.Crds.V1Alpha1;
using Moebius.KvCache.Detection;
using Moebius.KvCache.Detection.Classifier;
using Moebius.KvCache.Detection.Context;
using Moebius.KvCache.Policy;
using Moebius.KvCache.Service;
using Moebius.KvCache.Tests.Detection.Context;
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
            queue.Add(Job(harness, 1, text));
        }
    }

    [Fact]
    public async Task A_tenant_with_much_to_be_judged_takes_turns_with_another()
    {
        const int Crowd = 1;
        const int Other = 2;
        const int Many = 50;
        var harness = new IndexHarness(64);
        var classifier = new OrderedClassifier();
        await using var queue = new ClassificationQueue(() => Policy with { BatchSize = 1, Tiers = new DetectionTiers(classifier, null) }, new CacheMetrics(), TimeProvider.System, new ErrorLog());
        for (var number = 0; number < Many; number++)
            queue.Add(Job(harness, Crowd, "a\n"));
        queue.Add(Job(harness, Other, "b\n"));
        queue.Start();
        await Eventually.TrueAsync(() => queue.Pending == 0);
        Assert.Equal(["a\n", "b\n", .. Enumerable.Repeat("a\n", Many - 1)], classifier.Seen);
    }

    [Fact]
    public async Task A_tenant_with_much_to_be_judged_leaves_room_for_another_and_gets_it_back()
    {
        var large = new byte[ClassificationQueue.MaxPendingBytes / 32];
        var harness = new IndexHarness(4);
        var metrics = new CacheMetrics();
        await using var queue = new ClassificationQueue(() => Policy with { Tiers = DetectionTiers.None }, metrics, TimeProvider.System, new ErrorLog());
        var most = Fill(1);
        // Room for 32; half for one alone, and half of what it leaves for the next.
        Assert.Equal((16, 8), (most, Fill(2)));
        // What is not judged is kept for nobody, if nobody comes back for it.
        harness.Cache(3, "ab");
        Assert.Equal(2, harness.Hits(3, "ab"));
        Assert.False(IsTaken(Job(harness, 3, "ab", new byte[16 * large.Length]) with { Anonymous = true }));
        Assert.Equal(0, harness.Hits(3, "ab"));
        queue.Start();
        await Eventually.TrueAsync(() => queue.Pending == 0);
        Assert.Equal(most + 8, metrics.ClassificationsFailed.Value);
        Assert.True(IsTaken(Job(harness, 4, "a", new byte[31 * large.Length]) with { TokenBytes = [], Undecided = 1 }));

        int Fill(int tenant)
        {
            var taken = 0;
            // They do not fit together, so that nothing is read for long.
            while (IsTaken(Job(harness, tenant, "a", large) with { TokenBytes = [], Undecided = 1 }))
                taken++;
            return taken;
        }

        bool IsTaken(ClassificationJob job)
        {
            var dropped = metrics.ClassificationsDropped.Value;
            queue.Add(job);
            return metrics.ClassificationsDropped.Value == dropped;
        }
    }

    // Eight blocks, whose sixteen tokens share a text of as many bytes or more: one without bytes would break it.
    private const string Prompt = "abcdefgh";

    private static ClassificationJob Unbroken(IndexHarness harness, int tenant, string text)
    {
        var job = Job(harness, tenant, Prompt, System.Text.Encoding.UTF8.GetBytes(text));
        return job with { TokenBytes = [.. Enumerable.Repeat(1u, job.Tokens.Length - 1), (uint)(text.Length - job.Tokens.Length + 1)] };
    }

    private static ClassificationJob Job(IndexHarness harness, int tenant, string text, byte[]? bytes = null)
    {
        // The harness makes two tokens of each letter.
        uint[] tokenBytes = [.. text.SelectMany(static _ => new uint[] { 0, 1 })];
        return new ClassificationJob(
            harness.Index, harness.Root, IndexHarness.Tenant(tenant), false, IndexHarness.Tokens(text), bytes ?? System.Text.Encoding.UTF8.GetBytes(text), tokenBytes, 0, text.Length);
    }

    [Theory]
    [InlineData("Mail jane@example.org.\n", false, 0)]
    [InlineData("It is harmless.\n", true, 0)]
    [InlineData("It is harmless.\n", false, 8)]
    public async Task Of_an_anonymous_request_only_what_is_public_stays(string text, bool fails, int blocks)
    {
        var harness = new IndexHarness(64);
        await using var queue = new ClassificationQueue(() => Policy with { Tiers = new DetectionTiers(new FailingClassifier(typeof(InvalidOperationException)) { Fails = fails }, null) }, new CacheMetrics(), TimeProvider.System, new ErrorLog());
        queue.Start();
        harness.Cache(1, Prompt);
        queue.Add(Unbroken(harness, 1, text) with { Anonymous = true });
        await Eventually.TrueAsync(() => queue.Pending == 0);
        Assert.Equal(blocks, harness.Blocks());
        Assert.Equal(blocks, harness.Hits(2, Prompt));
        // Nobody comes back for what is taken back.
        harness.Index.Retract(static _ => false);
        Assert.Equal(0, harness.Blocks());
    }

    [Theory]
    [InlineData("Mail jane@example.org.\n", 1)]
    [InlineData("It is harmless.\n", 0)]
    public async Task A_verdict_that_blocks_are_private_for_good_is_told(string text, int expected)
    {
        var harness = new IndexHarness(64);
        var told = 0;
        await using var queue = new ClassificationQueue(() => Policy with { Tiers = new DetectionTiers(new OrderedClassifier(), null) }, new CacheMetrics(), TimeProvider.System, new ErrorLog());
        queue.Start();
        harness.Cache(1, Prompt);
        queue.Add(Unbroken(harness, 1, text) with { OnPrivate = () => Interlocked.Increment(ref told) });
        await Eventually.TrueAsync(() => queue.Pending == 0);
        Assert.Equal(expected, told);
    }

    [Theory]
    [InlineData("I cannot say.", 0)]
    [InlineData("""{"private": true, "category": "health"}""", 0)]
    [InlineData("""{"private": false, "category": "none"}""", 8)]
    public async Task What_is_open_is_public_only_when_the_context_check_says_so(string answer, int expected)
    {
        const string text = "It is harmless.\n";
        var harness = new IndexHarness(64);
        await using var server = await ContextServer.StartAsync();
        server.Say = _ => Task.FromResult(answer);
        using var checker = new ContextChecker(new ContextCheckSettings(server.Url, "m", false, TimeSpan.FromMinutes(1), 10), null, null, TimeProvider.System);
        await using var queue = new ClassificationQueue(() => Policy with { Tiers = new DetectionTiers(new OpenClassifier(), checker) }, new CacheMetrics(), TimeProvider.System, new ErrorLog());
        queue.Start();
        harness.Cache(1, Prompt);
        queue.Add(Unbroken(harness, 1, text));
        await Eventually.TrueAsync(() => queue.Pending == 0);
        Assert.Equal(expected, harness.Hits(2, Prompt));
    }

    private sealed class OpenClassifier : IPrivacyClassifier
    {
        public string Digest => "";

        public IReadOnlyList<PassageScore> Score(IReadOnlyList<string> passages) => [.. passages.Select(static _ => new PassageScore(PassageScore.Unknown, []))];
    }

    private sealed class OrderedClassifier : IPrivacyClassifier
    {
        public string Digest => "";

        public ConcurrentQueue<string> Seen { get; } = [];

        public IReadOnlyList<PassageScore> Score(IReadOnlyList<string> passages)
        {
            foreach (var passage in passages)
                Seen.Enqueue(passage);
            return [.. passages.Select(static _ => PassageScore.Harmless)];
        }
    }

    private sealed class FailingClassifier(Type failure) : IPrivacyClassifier
    {
        public string Digest => "";

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
