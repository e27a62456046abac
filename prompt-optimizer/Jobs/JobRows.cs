using System.Data.Common;
using System.Text.Json;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.PromptOptimizer.Agents;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>A job whose rows cannot be read: they are damaged, or another version wrote them. It says where, and never what stands there.</summary>
/// <param name="id">The job's id.</param>
/// <param name="sequence">Its position in the order of acceptance.</param>
/// <param name="place">The table, and the column.</param>
/// <param name="cause">What is wrong with it.</param>
internal sealed class UnreadableJobException(string id, long sequence, string place, string cause)
    : Exception($"job '{id}' cannot be read: {place} in the store is damaged, or written by another version ({cause})")
{
    public long Sequence { get; } = sequence;
}

/// <summary>Reads jobs from their rows.</summary>
internal static class JobRows
{
    private static readonly JsonSerializerOptions Json = new(Manifests.Json) { RespectNullableAnnotations = true };

    /// <exception cref="UnreadableJobException">There is such a job, but it cannot be read.</exception>
    public static Job? Find(DbConnection connection, string condition, string value)
    {
        var found = connection.Query(ReadJob, $"SELECT * FROM prompt_jobs WHERE {condition}", ("@value", value)).FirstOrDefault();
        if (found is null)
            return null;
        var job = found with
        {
            Turns = connection.Query(reader => Read(found.Id, found.Sequence, "turns", () => ReadTurn(reader)), "SELECT * FROM prompt_turns WHERE job = @job ORDER BY number", ("@job", found.Sequence)),
            Rounds = connection.Query(reader => Read(found.Id, found.Sequence, "rounds.body", () => ReadRound(reader)), "SELECT body FROM prompt_rounds WHERE job = @job ORDER BY number", ("@job", found.Sequence)),
        };
        if (job.Turns.Count == 0)
            throw new UnreadableJobException(job.Id, job.Sequence, "turns", "no row");
        if (job.Outcome is { } outcome && job.Rounds.All(round => round.Number != outcome.Round))
            throw new UnreadableJobException(job.Id, job.Sequence, "jobs.outcome", "names a round that is not there");
        return job;
    }

    private static Job ReadJob(DbDataReader reader)
    {
        var (id, sequence) = (reader.Text("id")!, reader.Number("seq"));
        return new()
        {
            Sequence = sequence,
            Id = id,
            IdempotencyKey = reader.Text("idempotency_key"),
            Fingerprint = reader.Text("fingerprint")!,
            Prompt = reader.Text("prompt")!,
            Dialects = Column("dialects", FromJson<List<PromptDialect>>)!,
            Limits = Column("limits", FromJson<JobLimits>)!,
            State = Column("state", text => Enum.Parse<JobState>(text!)),
            CreatedAt = Time("created_at")!.Value,
            StartedAt = Time("started_at"),
            EndedAt = Time("ended_at"),
            Attempts = (int)reader.Number("attempts"),
            NotBefore = Time("not_before"),
            CancelRequested = reader.Number("cancel_requested") != 0,
            Worker = reader.Text("worker"),
            Intent = Column("intent", FromJson<Intent>),
            Outcome = Column("outcome", FromJson<Outcome>),
            Failure = Column("failure", FromJson<Failure>),
            Turns = [],
            Rounds = [],
        };

        T Column<T>(string name, Func<string?, T> read) => Read(id, sequence, $"jobs.{name}", () => read(reader.Text(name)));

        DateTimeOffset? Time(string name) => Read(id, sequence, $"jobs.{name}", () => reader.Time(name));
    }

    private static Turn ReadTurn(DbDataReader reader) => new(
        (int)reader.Number("number"), reader.Text("feedback"), reader.Time("accepted_at")!.Value, reader.Time("deadline_at")!.Value,
        new(reader.Number("input_tokens"), reader.Number("output_tokens"), (int)reader.Number("images"), reader.Number("model_ms")));

    private static Round ReadRound(DbDataReader reader) => FromJson<Round>(reader.Text("body")) is { Draft: not null, Scores: not null } round
        ? round
        : throw new JsonException("a round without draft or scores");

    private static T Read<T>(string id, long sequence, string place, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception error) when (error is JsonException or ArgumentException)
        {
            // The kind alone: the message may quote what stands there.
            throw new UnreadableJobException(id, sequence, place, error.GetType().Name);
        }
    }

    private static T? FromJson<T>(string? text) where T : class =>
        text is null ? null : JsonSerializer.Deserialize<T>(text, Json) ?? throw new JsonException("null");
}
