using Prometheus;

namespace Moebius.Operator.Runtime;

/// <summary>Metrics of the operator. The queue's have the names that controllers everywhere use.</summary>
internal sealed class OperatorMetrics
{
    private static readonly double[] Seconds = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

    /// <param name="watched">The only namespace that is worked in; null for all.</param>
    public OperatorMetrics(string? watched = null)
    {
        Registry = Metrics.NewCustomRegistry();
        var factory = Metrics.WithCustomRegistry(Registry);
        ApiRequests = factory.CreateCounter("moebius_operator_api_requests_total", "Requests to the API server.", "method", "code");
        Reconciliations = factory.CreateCounter("moebius_operator_reconcile_total", "Reconciliations.", "controller", "result");
        ReconcileSeconds = factory.CreateHistogram("moebius_operator_reconcile_duration_seconds", "Time of a reconciliation with its API calls.", ["controller"], new HistogramConfiguration { Buckets = Seconds });
        PlanSeconds = factory.CreateHistogram("moebius_operator_plan_duration_seconds", "Time to plan and compare, without API calls.", ["controller"], new HistogramConfiguration { Buckets = Seconds });
        ComputeSeconds = factory.CreateHistogram("moebius_operator_reconcile_compute_seconds", "Time of a reconciliation outside its API calls.", ["controller"], new HistogramConfiguration { Buckets = Seconds });
        ProcessorSeconds = factory.CreateHistogram("moebius_operator_reconcile_cpu_seconds", "Processor time of a reconciliation outside its API calls.", ["controller"], new HistogramConfiguration { Buckets = Seconds });
        Admissions = factory.CreateCounter("moebius_operator_admissions_total", "Objects that the webhook was asked about.", "kind", "result");
        ChildWrites = factory.CreateCounter("moebius_operator_child_writes_total", "Writes of child objects.", "kind", "cause");
        Relists = factory.CreateCounter("moebius_operator_relists_total", "Lists after the first, because a watch could not go on.", "resource");
        WatchErrors = factory.CreateCounter("moebius_operator_watch_errors_total", "Lists and watches that failed.", "resource");
        CachedObjects = factory.CreateGauge("moebius_operator_cached_objects", "Objects in the cache.", "resource");
        Leader = factory.CreateGauge("moebius_operator_leader", "1 while this process leads, by the namespace that it works in, or 'all'.", "watches").WithLabels(watched ?? "all");
        Depth = factory.CreateGauge("workqueue_depth", "Objects that wait.", "name");
        Adds = factory.CreateCounter("workqueue_adds_total", "Objects added.", "name");
        Retries = factory.CreateCounter("workqueue_retries_total", "Objects added again after a failure.", "name");
        QueueSeconds = factory.CreateHistogram("workqueue_queue_duration_seconds", "Time in the queue.", ["name"], new HistogramConfiguration { Buckets = Seconds });
        WorkSeconds = factory.CreateHistogram("workqueue_work_duration_seconds", "Time of working on an object.", ["name"], new HistogramConfiguration { Buckets = Seconds });
    }

    public CollectorRegistry Registry { get; }

    public Counter ApiRequests { get; }

    public Counter Reconciliations { get; }

    public Histogram ReconcileSeconds { get; }

    public Histogram PlanSeconds { get; }

    public Histogram ComputeSeconds { get; }

    public Histogram ProcessorSeconds { get; }

    public Counter Admissions { get; }

    public Counter ChildWrites { get; }

    public Counter Relists { get; }

    public Counter WatchErrors { get; }

    public Gauge CachedObjects { get; }

    public Gauge.Child Leader { get; }

    public Gauge Depth { get; }

    public Counter Adds { get; }

    public Counter Retries { get; }

    public Histogram QueueSeconds { get; }

    public Histogram WorkSeconds { get; }
}
