namespace Moebius.PromptOptimizer.Models;

/// <summary>An endpoint that may answer later: unreachable, too slow, overloaded or broken for the moment.</summary>
internal sealed class ModelUnavailableException(string message, TimeSpan? retryAfter, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>What the endpoint asked for.</summary>
    public TimeSpan? RetryAfter { get; } = retryAfter;
}

/// <summary>An endpoint that says no, or does not speak the protocol: asking again would not help.</summary>
internal sealed class ModelRejectedException(string message, int? status, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>HTTP status, if there was one.</summary>
    public int? Status { get; } = status;
}

/// <summary>What is left of a job's tokens does not suffice for the next call.</summary>
internal sealed class BudgetExhaustedException(int remaining, int needed)
    : Exception($"{remaining} tokens are left of the budget and the next call needs about {needed}");
