using Moebius.Inference.Engine;

namespace Moebius.Inference.Server;

/// <summary>
/// Bounds what the log-probabilities of prompts take until their answers are written: of a million tokens, which one body can have,
/// they are 12 MB with one alternative and 164 MB with twenty. Shared between tenants as <see cref="RequestBodies"/>'s room is. For any thread.
/// </summary>
internal sealed class ScoreRoom
{
    /// <summary>Bytes of all requests at one time, and of one.</summary>
    public const long Room = 16L << 20;

    private const int RetrySeconds = 2;

    private readonly FairRoom _room = new(Room, 2 * Room);

    /// <summary>Takes room for what the sequences of a request take, until disposed; null: they take nothing.</summary>
    /// <exception cref="ApiException">There is no room for so much, or not now.</exception>
    public IDisposable? Enter(string party, IReadOnlyList<EngineRequest> sequences)
    {
        var bytes = sequences.Sum(sequence => sequence.Scores?.Bytes ?? 0);
        if (bytes == 0)
            return null;
        if (bytes > Room)
            throw ApiException.Invalid("logprobs", $"'logprobs' of the {sequences.Sum(sequence => sequence.Scores is null ? 0 : (long)sequence.Prompt.Length)} tokens of 'prompt' take {bytes} bytes: at most {Room} are kept for a request. Ask for fewer of them, or send fewer prompts at a time.");
        return _room.TryEnter(party, bytes, out _)
            ? new Place(_room, party, bytes)
            : throw new ApiException(429, "rate_limit_error", "The server is busy with the log-probabilities of other prompts. Try again later.", null, "logprobs_full") { RetryAfter = RetrySeconds };
    }

    private sealed class Place(FairRoom room, string party, long bytes) : IDisposable
    {
        public void Dispose() => room.Leave(party, bytes);
    }
}
