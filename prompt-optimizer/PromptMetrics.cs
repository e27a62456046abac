using System.Data.Common;
using Moebius.PromptOptimizer.Jobs;
using Moebius.PromptOptimizer.Models;
using Prometheus;

namespace Moebius.PromptOptimizer;

/// <summary>The service's metrics. Labels come from fixed sets: no text of a user or a model is ever one.</summary>
internal sealed class PromptMetrics
{
    private readonly Gauge _jobs;
    private readonly Counter _jobsEnded;
    private readonly Counter _jobsDeleted;
    private readonly Counter _jobsRefused;
    private readonly Counter _retries;
    private readonly Counter _rounds;
    private readonly Histogram _scores;
    private readonly Counter _tokens;
    private readonly Histogram _agentSeconds;
    private readonly Counter _invalid;
    private readonly Counter _images;
    private readonly Counter _calls;

    public PromptMetrics()
    {
        var metrics = Metrics.WithCustomRegistry(Registry);
        _jobs = metrics.CreateGauge("moebius_prompt_jobs", "Jobs in the store by state.", "state");
        _jobsEnded = metrics.CreateCounter("moebius_prompt_jobs_ended_total", "Jobs ended since the start, by state and reason.", "state", "reason");
        _jobsDeleted = metrics.CreateCounter("moebius_prompt_jobs_deleted_total", "Jobs deleted since the start because they were kept as long as jobs.retention says.");
        _jobsRefused = metrics.CreateCounter("moebius_prompt_jobs_refused_total", "Requests for a job, and feedback, refused since the start because as many jobs waited as jobs.maxWaiting allows.");
        _retries = metrics.CreateCounter("moebius_prompt_job_retries_total", "Jobs put back for a later attempt because a model did not answer.");
        _rounds = metrics.CreateCounter("moebius_prompt_rounds_total", "Finished rounds by the agent that wrote the draft.", "agent");
        _scores = metrics.CreateHistogram("moebius_prompt_score_percent", "Scores of finished rounds.", new HistogramConfiguration { Buckets = Histogram.LinearBuckets(10, 10, 10) });
        _tokens = metrics.CreateCounter("moebius_prompt_tokens_total", "Tokens by agent and direction (input, output).", "agent", "direction");
        _agentSeconds = metrics.CreateHistogram("moebius_prompt_call_duration_seconds", "Time of a model call with its retries, by agent.", new HistogramConfiguration { LabelNames = ["agent"], Buckets = Histogram.ExponentialBuckets(0.1, 2, 12) });
        _invalid = metrics.CreateCounter("moebius_prompt_invalid_answers_total", "Answers that did not fit their JSON schema, by agent.", "agent");
        _images = metrics.CreateCounter("moebius_prompt_images_total", "Images made.");
        _calls = metrics.CreateCounter("moebius_prompt_model_requests_total", "HTTP requests to models by model (the name of its settings) and outcome (ok, a status, timeout, unreachable, malformed).", "model", "outcome");
    }

    public CollectorRegistry Registry { get; } = Metrics.NewCustomRegistry();

    public void JobEnded(JobState state, string reason) => _jobsEnded.WithLabels(state.ToString(), reason).Inc();

    public void JobsDeleted(int count) => _jobsDeleted.Inc(count);

    public void JobRefused() => _jobsRefused.Inc();

    public void JobRetried() => _retries.Inc();

    public void RoundFinished(Round round)
    {
        _rounds.WithLabels(round.Agent).Inc();
        _scores.Observe(round.Scores.Percent);
    }

    public void Called(CallRecord call)
    {
        _tokens.WithLabels(call.Agent, "input").Inc(call.InputTokens);
        _tokens.WithLabels(call.Agent, "output").Inc(call.OutputTokens);
        _agentSeconds.WithLabels(call.Agent).Observe(call.Duration.TotalSeconds);
    }

    public void InvalidAnswer(string agent) => _invalid.WithLabels(agent).Inc();

    public void ImageMade() => _images.Inc();

    public Action<string> Requests(string endpoint) => outcome => _calls.WithLabels(endpoint, outcome).Inc();

    /// <summary>Reads the job counts from the store at every scrape; while it does not answer, there are none.</summary>
    public void ReadJobsFrom(JobStore store) => Registry.AddBeforeCollectCallback(() =>
    {
        try
        {
            foreach (var (state, count) in store.Counts())
                _jobs.WithLabels(state.ToString()).Set(count);
        }
        catch (DbException)
        {
            foreach (var state in Enum.GetNames<JobState>())
                _jobs.RemoveLabelled(state);
        }
    });
}
