namespace Moebius.PromptOptimizer.Models;

/// <summary>An endpoint that may answer later: unreachable, too slow, overloaded or broken for the moment.</summary>
/// <param name="summary">What happened, without a word of the endpoint's own.</param>
/// <param name="detail">The endpoint's words, for the job's owner; they may quote the prompt.</param>
/// <param name="retryAfter">What the endpoint asked for.</param>
/// <param name="inner">The error underneath.</param>
internal sealed class ModelUnavailableException(string summary, string detail, TimeSpan? retryAfter, Exception? inner = null) : Exception(summary + detail, inner)
{
    /// <summary>Fit for a log.</summary>
    public string Summary { get; } = summary;

    /// <summary>What the endpoint asked for.</summary>
    public TimeSpan? RetryAfter { get; } = retryAfter;
}

/// <summary>An endpoint that says no, or does not speak the protocol: asking again would not help.</summary>
/// <param name="summary">What happened, without a word of the endpoint's own.</param>
/// <param name="detail">The endpoint's words, for the job's owner; they may quote the prompt.</param>
/// <param name="status">HTTP status, if there was one.</param>
/// <param name="inner">The error underneath.</param>
/// <param name="contextExceeded">Whether question and answer together are longer than the model's context.</param>
internal sealed class ModelRejectedException(string summary, string detail, int? status, Exception? inner = null, bool contextExceeded = false) : Exception(summary + detail, inner)
{
    /// <summary>Fit for a log.</summary>
    public string Summary { get; } = summary;

    /// <summary>HTTP status, if there was one.</summary>
    public int? Status { get; } = status;

    /// <summary>Whether question and answer together are longer than the model's context.</summary>
    public bool ContextExceeded { get; } = contextExceeded;
}

/// <summary>What is left of a job's tokens does not suffice for the next call.</summary>
internal sealed class BudgetExhaustedException(int remaining, int needed)
    : Exception($"{remaining} tokens are left of the budget and the next call needs about {needed}");
