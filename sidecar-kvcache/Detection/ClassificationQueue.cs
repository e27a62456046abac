using Microsoft.Extensions.Logging;
using Moebius.Crds.V1Alpha1;
using Moebius.KvCache.Detection.Classifier;
using Moebius.KvCache.Detection.Context;
using Moebius.KvCache.Index;
using Moebius.KvCache.Policy;
using Moebius.KvCache.Service;

namespace Moebius.KvCache.Detection;

/// <summary>Freshly committed blocks, with the text they were computed from.</summary>
/// <param name="Undecided">First block that nothing is known about yet.</param>
/// <param name="Blocks">Blocks to classify, for filling batches.</param>
/// <param name="OnPrivate">Told when some of them have become private for good; null: nobody is.</param>
internal sealed record ClassificationJob(
    PrefixIndex Index, IndexRoot Root, TenantKey Tenant, bool Anonymous, uint[] Tokens, byte[] Text, uint[] TokenBytes, int Undecided, int Blocks, Action? OnPrivate = null)
{
    private int _ended;

    public long Bytes => Text.Length + (8L * Tokens.Length);

    public bool HasEnded => Volatile.Read(ref _ended) != 0;

    /// <summary>Ends it. False: it has ended before.</summary>
    public bool End() => Interlocked.Exchange(ref _ended, 1) == 0;
}

/// <summary>
/// Classifies committed blocks in batches, beside the requests: nobody waits for it, and what it has not seen yet is
/// private. Tenants take turns. A job that finds no room, or whose tenant has enough waiting, is dropped, which leaves its blocks private.
/// </summary>
internal sealed class ClassificationQueue(Func<CompiledPolicy> policy, CacheMetrics metrics, TimeProvider time, ILogger logger) : IAsyncDisposable
{
    /// <summary>Most bytes of texts that wait. A container's default limit leaves 128 MiB beside the program and the arena.</summary>
    internal const long MaxPendingBytes = 64L << 20;

    private const int MaxAsking = 64;

    private readonly Turns<TenantKey, ClassificationJob> _jobs = new();

    // As many as there are jobs in the line.
    private readonly SemaphoreSlim _waiting = new(0);
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Task> _asking = [];
    private readonly Places<TenantKey> _bytes = new(MaxPendingBytes);
    private long _pendingJobs;
    private Task _loop = Task.CompletedTask;

    public void Start() => _loop = Task.Run(() => RunAsync(_stop.Token));

    /// <summary>Jobs accepted and not applied yet.</summary>
    public long Pending => Interlocked.Read(ref _pendingJobs);

    public void Add(ClassificationJob job)
    {
        if (!_bytes.TryTake(job.Tenant, job.Bytes))
        {
            metrics.ClassificationsDropped.Inc();
            if (job.Anonymous)
                job.Index.DropPath(job.Root, job.Tenant, job.Tokens);
            return;
        }

        Interlocked.Increment(ref _pendingJobs);
        _jobs.Add(job.Tenant, job);
        _waiting.Release();
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _loop;
        await Task.WhenAll(_asking);
        _stop.Dispose();
        _waiting.Dispose();
    }

    private async Task RunAsync(CancellationToken cancel)
    {
        try
        {
            while (true)
            {
                await _waiting.WaitAsync(cancel);
                await ReadBatchAsync(cancel);
            }
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            // Stopping: what is left in the queue goes with the cache.
        }
    }

    /// <summary>Whatever happens to a batch, also a lack of memory: its blocks stay private, and the next one is read.</summary>
    private async Task ReadBatchAsync(CancellationToken cancel)
    {
        var batch = new List<ClassificationJob>();
        try
        {
            await FillBatchAsync(batch, cancel);
            // One policy for the whole of a batch, however long it takes.
            await JudgeAsync(policy(), batch, cancel);
        }
        catch (Exception error) when (error is not OperationCanceledException || !cancel.IsCancellationRequested)
        {
            foreach (var job in batch.Where(static job => !job.HasEnded))
                Fail(job, error);
        }
    }

    /// <summary>Takes what comes next, and what comes until there is enough or it has been waited for long enough.</summary>
    private async Task FillBatchAsync(List<ClassificationJob> batch, CancellationToken cancel)
    {
        var current = policy();
        var blocks = 0;
        using var late = new CancellationTokenSource(current.MaxDelay, time);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancel, late.Token);
        do
        {
            if (!_jobs.TryTake(out var job))
                throw new InvalidOperationException("there are fewer jobs than have been counted");
            batch.Add(job);
            blocks += job.Blocks;
        }
        while (blocks < current.BatchSize && await IsThereMoreAsync(end.Token));
        cancel.ThrowIfCancellationRequested();
    }

    private async Task<bool> IsThereMoreAsync(CancellationToken end)
    {
        try
        {
            // What is there is taken, however late it is.
            if (!_waiting.Wait(0, CancellationToken.None))
                await _waiting.WaitAsync(end);
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    /// <summary>
    /// Reads all jobs of a batch, has their passages judged by tier 2 in one call, and hands those that are then decided
    /// to the index. What tier 3 is asked about is decided when its answers are there; the next batch does not wait.
    /// </summary>
    private async Task JudgeAsync(CompiledPolicy current, List<ClassificationJob> batch, CancellationToken cancel)
    {
        var readings = new List<(ClassificationJob Job, BlockClassifier Reading)>();
        foreach (var job in batch)
        {
            if (Guard(job, () => new BlockClassifier(current, job.Text, job.TokenBytes, job.Root.BlockTokens, job.Undecided, job.Index.PublicBlocks(job.Root, job.Tokens))) is { } reading)
                readings.Add((job, reading));
        }

        IReadOnlyList<PassageScore> scores = [];
        try
        {
            if (current.Tiers.Classifier is { } classifier)
                scores = classifier.Score([.. readings.SelectMany(read => read.Reading.Passages.Select(read.Reading.TextOf))]);
        }
        catch (Exception error)
        {
            foreach (var (job, _) in readings)
                Fail(job, error);
            return;
        }

        var next = 0;
        foreach (var (job, reading) in readings)
        {
            var verdicts = new PassageVerdict[reading.Passages.Count];
            for (var index = 0; index < verdicts.Length; index++)
            {
                verdicts[index] = current.Judge(scores[next++].Probability);
                metrics.Passages.WithLabels(Label(verdicts[index])).Inc();
            }

            var known = verdicts.AsSpan().IndexOf(PassageVerdict.Private) is var first and >= 0 ? verdicts[..first] : verdicts;
            if (current.Tiers.ContextCheck is { } check && known.Contains(PassageVerdict.Open))
                Track(AskAsync(check, current, job, reading, known, cancel));
            else
                Apply(current, job, reading, [.. known.Select(verdict => verdict == PassageVerdict.Public)], asked: false);
        }

        _asking.RemoveAll(static asking => asking.IsCompleted);
        // Bounded: when tier 3 falls behind, the next batch waits for it.
        if (_asking.Count > MaxAsking)
            await Task.WhenAny(_asking);
    }

    private async Task AskAsync(
        ContextChecker check, CompiledPolicy current, ClassificationJob job, BlockClassifier reading, PassageVerdict[] verdicts, CancellationToken cancel)
    {
        bool[] cleared;
        try
        {
            var answers = new Task<bool?>?[verdicts.Length];
            for (var index = 0; index < verdicts.Length; index++)
            {
                if (verdicts[index] == PassageVerdict.Open)
                    answers[index] = check.IsPrivateAsync(job.Tenant, reading.ContextOf(reading.Passages[index]), reading.TextOf(reading.Passages[index]), cancel);
            }

            cleared = new bool[verdicts.Length];
            for (var index = 0; index < cleared.Length; index++)
                cleared[index] = answers[index] is { } answer ? await answer is false : verdicts[index] == PassageVerdict.Public;
        }
        catch (Exception error)
        {
            Fail(job, error);
            return;
        }

        Apply(current, job, reading, cleared, asked: true);
    }

    private void Track(Task asking) => _asking.Add(asking);

    private void Apply(CompiledPolicy current, ClassificationJob job, BlockClassifier reading, bool[] cleared, bool asked) => Guard(job, () =>
    {
        var verdict = reading.Decide(cleared, asked);
        if (verdict.PrivateFrom != int.MaxValue)
        {
            metrics.PrivateVerdicts.WithLabels(Label(verdict.Reason)).Inc();
            job.Index.MarkPrivate(job.Root, job.Tenant, job.Tokens, verdict.PrivateFrom);
            job.OnPrivate?.Invoke();
        }

        if (verdict.PublicUpTo > 0 && current.Mode == SharingMode.SafeKV)
        {
            Promote(job, verdict.Declared, new PublicReason(verdict.Declaration));
            if (verdict.PublicUpTo > verdict.Declared)
                Promote(job, verdict.PublicUpTo, new PublicReason(null, IsCleared: true, current.Clearance));
            // The policy may have been replaced while this was worked out: what it no longer covers goes back.
            if (!ReferenceEquals(policy(), current))
                job.Index.Retract(reason => PublicRules.Holds(policy(), reason));
        }

        if (job.Anonymous)
            job.Index.DropPath(job.Root, job.Tenant, job.Tokens);
        Finish(job);
        return job;
    });

    private void Promote(ClassificationJob job, int upTo, PublicReason reason)
    {
        if (upTo > 0)
            metrics.PromotedBlocks.Inc(job.Index.Promote(job.Root, job.Tenant, job.Tokens, upTo, reason, job.Anonymous ? null : job.Tenant));
    }

    private T? Guard<T>(ClassificationJob job, Func<T> work)
        where T : class
    {
        try
        {
            return work();
        }
        catch (Exception error)
        {
            Fail(job, error);
            return null;
        }
    }

    /// <summary>
    /// The blocks stay private. What it was and where it came from is logged, but neither the text nor the exception's
    /// message, which may quote it.
    /// </summary>
    private void Fail(ClassificationJob job, Exception error)
    {
        if (error is not OperationCanceledException || !_stop.IsCancellationRequested)
        {
            metrics.ClassificationsFailed.Inc();
            logger.LogError("Classification failed with {Error}; its blocks stay private. It came from{Stack}", error.GetType().Name, Source(error));
        }

        if (job.Anonymous)
            job.Index.DropPath(job.Root, job.Tenant, job.Tokens);
        Finish(job);
    }

    /// <summary>Names of methods only.</summary>
    private static string Source(Exception error) => error.StackTrace is { } stack ? $"\n{stack}" : " an unknown place";

    private void Finish(ClassificationJob job)
    {
        if (!job.End())
            return;
        _bytes.Give(job.Tenant, job.Bytes);
        Interlocked.Decrement(ref _pendingJobs);
    }

    private static string Label(PrivateReason reason) => reason switch
    {
        PrivateReason.Rules => "rules",
        PrivateReason.Classifier => "classifier",
        _ => "context",
    };

    private static string Label(PassageVerdict verdict) => verdict switch
    {
        PassageVerdict.Public => "public",
        PassageVerdict.Private => "private",
        _ => "open",
    };
}
