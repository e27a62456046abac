using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Moebius.KvCache.Index;
using Moebius.KvCache.Policy;
using Moebius.KvCache.Service;

namespace Moebius.KvCache.Detection;

/// <summary>Freshly committed blocks, with the text they were computed from.</summary>
/// <param name="Undecided">First block that nothing is known about yet.</param>
/// <param name="Blocks">Blocks to classify, for filling batches.</param>
internal sealed record ClassificationJob(
    PrefixIndex Index, IndexRoot Root, TenantKey Tenant, bool Anonymous, uint[] Tokens, byte[] Text, uint[] TokenBytes, int Undecided, int Blocks)
{
    public long Bytes => Text.Length + (8L * Tokens.Length);
}

/// <summary>
/// Classifies committed blocks in batches, beside the requests: nobody waits for it, and what it has not seen yet is
/// private. A job that finds no room is dropped, which leaves its blocks private.
/// </summary>
internal sealed class ClassificationQueue(Func<CompiledPolicy> policy, CacheMetrics metrics, TimeProvider time, ILogger logger) : IAsyncDisposable
{
    private const long MaxPendingBytes = 256L << 20;

    private readonly Channel<ClassificationJob> _jobs = Channel.CreateUnbounded<ClassificationJob>(new UnboundedChannelOptions { SingleReader = true });
    private readonly CancellationTokenSource _stop = new();
    private long _pendingBytes;
    private long _pendingJobs;
    private Task _loop = Task.CompletedTask;

    public void Start() => _loop = Task.Run(() => RunAsync(_stop.Token));

    /// <summary>Jobs accepted and not applied yet.</summary>
    public long Pending => Interlocked.Read(ref _pendingJobs);

    public void Add(ClassificationJob job)
    {
        if (Interlocked.Add(ref _pendingBytes, job.Bytes) > MaxPendingBytes)
        {
            Interlocked.Add(ref _pendingBytes, -job.Bytes);
            metrics.ClassificationsDropped.Inc();
            if (job.Anonymous)
                job.Index.DropPath(job.Root, job.Tenant, job.Tokens);
            return;
        }

        Interlocked.Increment(ref _pendingJobs);
        _jobs.Writer.TryWrite(job);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _loop;
        _stop.Dispose();
    }

    private async Task RunAsync(CancellationToken cancel)
    {
        try
        {
            while (await _jobs.Reader.WaitToReadAsync(cancel))
            {
                var batch = await FillBatchAsync(cancel);
                foreach (var job in batch)
                    Apply(job);
            }
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            // Stopping: what is left in the queue goes with the cache.
        }
    }

    private async Task<List<ClassificationJob>> FillBatchAsync(CancellationToken cancel)
    {
        var current = policy();
        var batch = new List<ClassificationJob>();
        var blocks = 0;
        using var delay = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var deadline = Task.Delay(current.MaxDelay, time, delay.Token);
        while (blocks < current.BatchSize)
        {
            if (_jobs.Reader.TryRead(out var job))
            {
                batch.Add(job);
                blocks += job.Blocks;
                continue;
            }

            cancel.ThrowIfCancellationRequested();
            var more = _jobs.Reader.WaitToReadAsync(delay.Token).AsTask();
            if (await Task.WhenAny(more, deadline) == deadline)
            {
                await delay.CancelAsync();
                // The wait must end before another may start.
                await more.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
                break;
            }
        }

        await delay.CancelAsync();
        return batch;
    }

    private void Apply(ClassificationJob job)
    {
        try
        {
            var current = policy();
            var verdict = BlockClassifier.Classify(current, job.Text, job.TokenBytes, job.Root.BlockTokens, job.Undecided);
            if (verdict.PrivateFrom != int.MaxValue)
            {
                metrics.PrivateVerdicts.Inc();
                job.Index.MarkPrivate(job.Root, job.Tenant, job.Tokens, verdict.PrivateFrom);
            }

            if (verdict.PublicUpTo > 0 && current.Mode == Crds.V1Alpha1.SharingMode.SafeKV)
            {
                var promoted = job.Index.Promote(
                    job.Root, job.Tenant, job.Tokens, verdict.PublicUpTo, verdict.Reason!, job.Anonymous ? null : job.Tenant);
                metrics.PromotedBlocks.Inc(promoted);
                // The policy may have been replaced while this was worked out: what it no longer covers goes back.
                if (!ReferenceEquals(policy(), current))
                    job.Index.Retract(reason => PublicRules.Holds(policy(), reason));
            }

            if (job.Anonymous)
                job.Index.DropPath(job.Root, job.Tenant, job.Tokens);
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            // The blocks stay private. Neither the text nor the exception's message, which may quote it, is logged.
            metrics.ClassificationsFailed.Inc();
            logger.LogError("Classification failed with {Error}; its blocks stay private", error.GetType().Name);
        }
        finally
        {
            Interlocked.Add(ref _pendingBytes, -job.Bytes);
            Interlocked.Decrement(ref _pendingJobs);
        }
    }
}
