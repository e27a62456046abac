using Moebius.Inference.Models;

namespace Moebius.Inference.Engine;

/// <summary>
/// How likely the model finds the tokens of a prompt, each after those before it, as the prompt is computed. Kept in few bytes a
/// token: a request may ask for those of a million. Written by the step under way, read once <see cref="Ended"/> or by whoever
/// has had the end of its sequence.
/// </summary>
/// <param name="prompt">The prompt, at least one token.</param>
/// <param name="alternatives">How many of the likeliest tokens to keep at each place.</param>
internal sealed class PromptScores(int[] prompt, int alternatives)
{
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private float[] _own = [];
    private TokenLogprob[] _likeliest = [];
    private Exception? _failure;

    /// <summary>Bytes that it takes, from the first step on.</summary>
    public long Bytes => prompt.Length * (sizeof(float) + ((sizeof(int) + (long)sizeof(float)) * alternatives));

    /// <summary>Leading tokens whose scores are known; of the first there is none to know.</summary>
    public int Known { get; private set; } = 1;

    /// <summary>All are known.</summary>
    public bool Complete => Known == prompt.Length;

    /// <summary>Why one cannot be known.</summary>
    public Exception? Failure => Volatile.Read(ref _failure);

    /// <summary>When no more will be known; whether all are, <see cref="Complete"/> says.</summary>
    public Task Ended => _ended.Task;

    /// <summary>The tokens. Of the first it is only known which it is.</summary>
    public IEnumerable<ChosenToken> Tokens => Enumerable.Range(0, prompt.Length).Select(Of);

    /// <summary>What of a chunk of the sequence has to be read; null: nothing.</summary>
    /// <param name="from">Where in the sequence it begins.</param>
    /// <param name="count">Its tokens.</param>
    public LogitReading? Reading(int from, int count)
    {
        // The logits of a token are those of the one behind it. What was known before a preemption stays.
        var first = Math.Max(from, Known - 1);
        var end = Math.Min(from + count, prompt.Length - 1);
        if (first >= end)
            return null;
        if (_own.Length == 0)
            (_own, _likeliest) = (new float[prompt.Length], new TokenLogprob[prompt.Length * alternatives]);
        return new LogitReading(first - from, end - first, (index, logits) => Score(from + index + 1, logits));
    }

    /// <summary>A step has succeeded.</summary>
    /// <param name="stored">Tokens of the sequence that are computed now.</param>
    public void Advance(int stored)
    {
        Known = Math.Max(Known, Math.Min(stored + 1, prompt.Length));
        if (Complete)
            End();
    }

    /// <summary>Nothing comes any more.</summary>
    public void End() => _ended.TrySetResult();

    private void Score(int place, ReadOnlySpan<float> logits)
    {
        try
        {
            var sum = Sampler.LogSum(logits);
            _own[place] = (float)(logits[prompt[place]] - sum);
            var likeliest = _likeliest.AsSpan(place * alternatives, alternatives);
            likeliest.Fill(new TokenLogprob(-1, 0));
            var best = TokenRanking.Top(logits, alternatives);
            for (var i = 0; i < best.Length; i++)
                likeliest[i] = new TokenLogprob(best[i], (float)(logits[best[i]] - sum));
        }
        catch (InvalidDataException error)
        {
            // Not the step's failure: the others in it go on.
            Volatile.Write(ref _failure, error);
        }
    }

    private ChosenToken Of(int place)
    {
        if (place == 0)
            return new ChosenToken(new TokenLogprob(prompt[0], float.NaN), []) { First = true };
        var likeliest = _likeliest.AsSpan(place * alternatives, alternatives);
        var end = likeliest.IndexOf(new TokenLogprob(-1, 0));
        return new ChosenToken(new TokenLogprob(prompt[place], _own[place]), (end < 0 ? likeliest : likeliest[..end]).ToArray());
    }
}
