namespace Moebius.PromptOptimizer.Models;

/// <summary>One finished model call.</summary>
internal sealed record CallRecord(string Agent, int InputTokens, int OutputTokens, TimeSpan Duration);

/// <summary>
/// Holds a job to its tokens. Every call is checked before it is made, by an estimate of the question, and its answer is
/// limited to what is left: a job can pass its budget only by the error of one estimate.
/// </summary>
/// <param name="limit">The budget.</param>
/// <param name="used">Tokens used before, for a job that is taken up again.</param>
/// <param name="time">Clock.</param>
/// <param name="recorded">Told of every finished call, before the next starts.</param>
/// <param name="invalid">Told the agent's name for every answer that did not fit.</param>
internal sealed class TokenMeter(int limit, long used, TimeProvider time, Action<CallRecord> recorded, Action<string> invalid)
{
    /// <summary>The shortest answer worth asking for, in tokens. Ours.</summary>
    internal const int ShortestAnswer = 64;

    private long _used = used;

    public int Remaining => (int)Math.Max(0, limit - _used);

    /// <summary>Tokens of so many characters: three characters each, which is high for English on purpose.</summary>
    public static int Estimate(int characters) => (characters + 2) / 3;

    /// <summary>Tokens that the answer may have.</summary>
    /// <exception cref="BudgetExhaustedException">Not enough for the question and the shortest answer.</exception>
    public int Reserve(int questionCharacters, int wanted)
    {
        var question = Estimate(questionCharacters);
        var left = Remaining - question;
        return left >= ShortestAnswer ? Math.Min(left, wanted) : throw new BudgetExhaustedException(Remaining, question + ShortestAnswer);
    }

    public long Start() => time.GetTimestamp();

    public void Record(string agent, long started, ChatAnswer answer)
    {
        _used += (long)answer.InputTokens + answer.OutputTokens;
        recorded(new(agent, answer.InputTokens, answer.OutputTokens, time.GetElapsedTime(started)));
    }

    public void Invalid(string agent) => invalid(agent);
}
