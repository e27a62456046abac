using System.Collections.Concurrent;
using System.Net;
using k8s;
using k8s.Models;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Runtime;

public sealed class ControllerLoopTests
{
    /// <summary>The cache may still have what has just gone, because this very loop has let go of it.</summary>
    [Theory]
    [InlineData(HttpStatusCode.NotFound, "success")]
    [InlineData(HttpStatusCode.Conflict, "conflict")]
    [InlineData(HttpStatusCode.InternalServerError, "error")]
    public async Task What_has_gone_needs_no_finalizer_taken_off(HttpStatusCode answer, string result)
    {
        var metrics = await RunAsync(answer, entity => ReconciliationResult<MemorySchedulingProfile>.Success(entity), result);
        Assert.All(new[] { "success", "conflict", "error" }.Except([result]), other => Assert.Equal(0, metrics.Reconciliations.WithLabels("test", other).Value));
    }

    /// <summary>Of what it was behind by the cache may have told before: nobody else asks for another look.</summary>
    [Theory]
    [InlineData(HttpStatusCode.Conflict, "conflict")]
    [InlineData(HttpStatusCode.InternalServerError, "error")]
    public async Task What_failed_is_tried_again(HttpStatusCode answer, string result) =>
        await RunAsync(answer, entity => ReconciliationResult<MemorySchedulingProfile>.Success(entity), result, times: 2);

    [Fact]
    public async Task A_controller_learns_of_what_has_gone()
    {
        var told = new List<string>();
        await RunAsync(
            HttpStatusCode.OK,
            entity =>
            {
                told.Add(entity.Metadata.Name);
                return ReconciliationResult<MemorySchedulingProfile>.Success(entity);
            },
            "success",
            gone: true);
        Assert.Equal([Samples.Profile().Metadata.Name], told);
    }

    [Fact]
    public async Task A_success_forgets_the_failures_before_it()
    {
        var looks = 0;
        var time = new Timers();
        await RunAsync(
            HttpStatusCode.NotFound,
            entity => ++looks % 2 == 0
                ? ReconciliationResult<MemorySchedulingProfile>.Success(entity, TimeSpan.FromMilliseconds(1))
                : ReconciliationResult<MemorySchedulingProfile>.Failure(entity, "a service is down"),
            "error",
            times: 4,
            time);
        var first = Backoff.PerObject().First;
        Assert.All(time.Delays, delay => Assert.InRange(delay, TimeSpan.Zero, first * 1.2));
    }

    /// <summary>A node that never comes back must not look like an operator that fails.</summary>
    [Fact]
    public async Task A_finalizer_that_waits_is_no_error()
    {
        var metrics = await RunAsync(HttpStatusCode.OK, entity => ReconciliationResult<MemorySchedulingProfile>.Failure(entity, "a node is being restored", requeueAfter: TimeSpan.FromMilliseconds(1)), "waiting", times: 3);
        Assert.All(["success", "conflict", "error"], other => Assert.Equal(0, metrics.Reconciliations.WithLabels("test", other).Value));
    }

    /// <summary>Runs the loop with a profile that is being deleted until there is a result that often.</summary>
    private static async Task<OperatorMetrics> RunAsync(HttpStatusCode answer, Func<MemorySchedulingProfile, ReconciliationResult<MemorySchedulingProfile>> finalize, string result, int times = 1, TimeProvider? time = null, bool gone = false)
    {
        using var wire = new Answering(answer);
        using var kubernetes = new Kubernetes(new KubernetesClientConfiguration { Host = "http://loop.invalid" }, wire);
        var metrics = new OperatorMetrics();
        var cache = new SharedCache<MemorySchedulingProfile>();
        var done = new Finalizer(finalize);
        using var loop = new ControllerLoop<MemorySchedulingProfile>("test", cache, done, ("hold", done), new ApiClient(kubernetes, metrics), time ?? TimeProvider.System, metrics, new WorkGap(TimeProvider.System), NullLogger.Instance);
        using var stop = new CancellationTokenSource();
        var profile = Samples.Profile();
        (profile.Metadata.Finalizers, profile.Metadata.DeletionTimestamp, profile.Metadata.ResourceVersion) = (["hold"], DateTime.UtcNow, "5");
        cache.Set(profile);
        if (gone)
            cache.Remove(profile);
        var running = loop.RunAsync(1, stop.Token);

        await Eventually.TrueAsync(() => Task.FromResult(metrics.Reconciliations.WithLabels("test", result).Value >= times));
        await stop.CancelAsync();
        await running;
        return metrics;
    }

    /// <summary>Notes for how long something is put off.</summary>
    private sealed class Timers : TimeProvider
    {
        public ConcurrentQueue<TimeSpan> Delays { get; } = [];

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            Delays.Enqueue(dueTime);
            return base.CreateTimer(callback, state, dueTime, period);
        }
    }

    private sealed class Answering(HttpStatusCode code) : DelegatingHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
            Task.FromResult(new HttpResponseMessage(code) { Content = new StringContent($$"""{"kind":"Status","code":{{(int)code}},"reason":"{{code}}","message":"so it is"}""") });
    }

    private sealed class Finalizer(Func<MemorySchedulingProfile, ReconciliationResult<MemorySchedulingProfile>> finalize) : IEntityController<MemorySchedulingProfile>, IEntityFinalizer<MemorySchedulingProfile>
    {
        public Task<ReconciliationResult<MemorySchedulingProfile>> ReconcileAsync(MemorySchedulingProfile entity, CancellationToken cancellationToken) => FinalizeAsync(entity, cancellationToken);

        public Task<ReconciliationResult<MemorySchedulingProfile>> DeletedAsync(MemorySchedulingProfile entity, CancellationToken cancellationToken) => FinalizeAsync(entity, cancellationToken);

        public Task<ReconciliationResult<MemorySchedulingProfile>> FinalizeAsync(MemorySchedulingProfile entity, CancellationToken cancellationToken) =>
            Task.FromResult(finalize(entity));
    }
}
