using System.Data.Common;
using System.Security.Cryptography;
using System.Text.Json;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>A request for a job, checked.</summary>
/// <param name="IdempotencyKey">The client's name for the request; a second one under it makes no second job.</param>
/// <param name="Fingerprint">Of what was asked, before defaults: what two requests under one key are compared by.</param>
/// <param name="Prompt">The user's text.</param>
/// <param name="Dialects">Dialects to write the result in.</param>
/// <param name="Limits">Limits of the first turn and of each piece of feedback.</param>
internal sealed record NewJob(string? IdempotencyKey, string Fingerprint, string Prompt, IReadOnlyList<PromptDialect> Dialects, JobLimits Limits);

/// <summary>What came of a request: a new job, the one made before under the same key, or a clash of keys (no job).</summary>
internal sealed record Creation(Job? Job, bool Created);

/// <summary>Something that happened to a job.</summary>
/// <param name="Id">Grows over all jobs.</param>
/// <param name="Type">queued, running, step, round or ended.</param>
/// <param name="At">When.</param>
/// <param name="Subject">The agent of a step, the number of a round, the state of an end.</param>
internal sealed record JobEvent(long Id, string Type, DateTimeOffset At, string? Subject);

/// <summary>A row of a list: a job, or why it cannot be read.</summary>
internal sealed record JobRow(string Id, long Sequence, Job? Job, string? Problem);

/// <summary>As many jobs wait as may.</summary>
/// <param name="waiting">How many do.</param>
internal sealed class QueueFullException(long waiting) : Exception("the queue is full")
{
    public long Waiting { get; } = waiting;
}

/// <summary>The durable queue and its results: what users ask of it. The worker's side is in the other half.</summary>
/// <param name="database">Where it is kept.</param>
/// <param name="time">Clock.</param>
/// <param name="maxWaiting">Jobs that may wait before further ones are refused.</param>
internal sealed partial class JobStore(Database database, TimeProvider time, int maxWaiting = int.MaxValue)
{
    /// <summary>Most pieces of feedback on one job. Ours.</summary>
    internal const int MaxFeedback = 50;

    /// <summary>Jobs deleted in one transaction, in which nobody else can write to a file, and whose images take as much room again in its log.</summary>
    internal const int MostDeleted = 5;

    // Also at the start: the process before may have died in between.
    private volatile bool _logHoldsPurged = true;

    /// <summary>Called with a job's id after everything that happened to it.</summary>
    public event Action<string>? Changed;

    /// <summary>Called with every end of a job, once it is stored: its state, and why.</summary>
    public event Action<JobState, string>? Ended;

    /// <summary>Called with the number of jobs that were deleted because they had been kept long enough.</summary>
    public event Action<int>? Deleted;

    /// <exception cref="QueueFullException">As many wait as may, and there is no earlier job under the key.</exception>
    public Creation Create(NewJob request)
    {
        var now = time.GetUtcNow();
        var id = "pj-" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(12));
        var created = database.Write(connection =>
        {
            // One after the other: a key makes one job, and no more wait than may.
            LockQueue(connection);
            if (request.IdempotencyKey is { } key && JobRows.Find(connection, "idempotency_key = @value", key) is { } earlier)
                return new Creation(earlier.Fingerprint == request.Fingerprint ? earlier : null, false);
            CheckRoom(connection);
            var sequence = connection.Scalar(
                "INSERT INTO prompt_jobs (id, idempotency_key, fingerprint, prompt, dialects, limits, state, created_at) VALUES (@id, @key, @fingerprint, @prompt, @dialects, @limits, 'Queued', @now) RETURNING seq",
                ("@id", id), ("@key", request.IdempotencyKey), ("@fingerprint", request.Fingerprint), ("@prompt", request.Prompt), ("@dialects", ToJson(request.Dialects)), ("@limits", ToJson(request.Limits)), ("@now", now))!.Value;
            connection.Execute(
                "INSERT INTO prompt_turns (job, number, accepted_at, deadline_at) VALUES (@job, 0, @now, @deadline)",
                ("@job", sequence), ("@now", now), ("@deadline", now + request.Limits.Deadline));
            AddEvent(connection, sequence, "queued", null);
            return new Creation(JobRows.Find(connection, "id = @value", id), true);
        });
        if (created.Created)
            Changed?.Invoke(id);
        return created;
    }

    public Job? Get(string id) => database.Read(connection => JobRows.Find(connection, "id = @value", id));

    /// <summary>Newest first; whole jobs of one state or of all, accepted before the given sequence number, of one key or of any. One that cannot be read hides no other.</summary>
    public IReadOnlyList<JobRow> List(JobState? state, long? before, string? key, int limit) => database.Read(connection =>
    {
        var ids = connection.Query(reader => reader.Text("id")!,
            """
            SELECT id FROM prompt_jobs
            WHERE (CAST(@state AS TEXT) IS NULL OR state = @state) AND (CAST(@before AS BIGINT) IS NULL OR seq < @before) AND (CAST(@key AS TEXT) IS NULL OR idempotency_key = @key)
            ORDER BY seq DESC LIMIT @limit
            """,
            ("@state", state), ("@before", before), ("@key", key), ("@limit", limit));
        return (IReadOnlyList<JobRow>)[.. ids.Select(Row)];

        JobRow Row(string id)
        {
            try
            {
                var job = JobRows.Find(connection, "id = @value", id)!;
                return new(id, job.Sequence, job, null);
            }
            catch (UnreadableJobException error)
            {
                return new(id, error.Sequence, null, error.Message);
            }
        }
    });

    /// <summary>Jobs by state. One in a state that this version does not know is not among them; the list names it.</summary>
    public IReadOnlyDictionary<JobState, long> Counts() => database.Read(connection =>
    {
        var counts = connection.Query(reader => (State: reader.Text("state"), Count: reader.Number("count")), "SELECT state, COUNT(*) AS count FROM prompt_jobs GROUP BY state");
        return Enum.GetValues<JobState>().ToDictionary(state => state, state => counts.SingleOrDefault(row => row.State == state.ToString()).Count);
    });

    /// <summary>A job not taken up ends at once; a running one is marked, and its worker ends it. Null: no such job.</summary>
    public Job? RequestCancel(string id)
    {
        var ended = false;
        var job = database.Write(connection =>
        {
            var now = time.GetUtcNow();
            // From here on nobody changes it: one that was just put back would be neither queued nor running to the two below.
            connection.Execute("UPDATE prompt_jobs SET worker = worker WHERE id = @id", ("@id", id));
            var sequence = connection.Scalar(
                "UPDATE prompt_jobs SET state = 'Cancelled', cancel_requested = 1, ended_at = @now, not_before = NULL WHERE id = @id AND state = 'Queued' RETURNING seq", ("@id", id), ("@now", now));
            ended = sequence is not null;
            if (sequence is { } job)
                AddEvent(connection, job, "ended", nameof(JobState.Cancelled));
            connection.Execute("UPDATE prompt_jobs SET cancel_requested = 1 WHERE id = @id AND state = 'Running'", ("@id", id));
            return JobRows.Find(connection, "id = @value", id);
        });
        if (ended)
            Ended?.Invoke(JobState.Cancelled, nameof(JobState.Cancelled));
        Changed?.Invoke(id);
        return job;
    }

    /// <summary>Removes an ended job and everything about it, also one that cannot be read.</summary>
    public bool Purge(string id)
    {
        var removed = database.Write(connection =>
            connection.Execute("DELETE FROM prompt_jobs WHERE id = @id AND state NOT IN ('Queued', 'Running')", ("@id", id)) == 1);
        if (removed)
            LeaveNothing();
        Changed?.Invoke(id);
        return removed;
    }

    /// <summary>Removes jobs that ended before a time, the earliest first, and everything about them.</summary>
    /// <returns>How many: at most <see cref="MostDeleted"/>.</returns>
    public int DeleteEnded(DateTimeOffset before)
    {
        var deleted = database.Write(connection => connection.Execute("""
            DELETE FROM prompt_jobs
            WHERE seq IN (SELECT seq FROM prompt_jobs WHERE ended_at <= @before AND state NOT IN ('Queued', 'Running') ORDER BY ended_at LIMIT @most)
            AND ended_at <= @before AND state NOT IN ('Queued', 'Running')
            """, ("@before", before), ("@most", MostDeleted)));
        if (deleted == 0)
            return 0;
        LeaveNothing();
        Deleted?.Invoke(deleted);
        return deleted;
    }

    /// <summary>What was deleted is overwritten in the file, and the log that may still hold it is emptied.</summary>
    private void LeaveNothing()
    {
        _logHoldsPurged = true;
        FinishPurges();
    }

    /// <summary>Empties the log of what was purged while a reader held on to it.</summary>
    /// <returns>Whether nothing of it is left.</returns>
    public bool FinishPurges()
    {
        if (_logHoldsPurged && database.EmptyLog())
            _logHoldsPurged = false;
        return !_logHoldsPurged;
    }

    /// <summary>Queues an ended job again with feedback on its result, unless it has not ended, has no result, or had too much.</summary>
    /// <returns>Whether it was taken, and the job; null: there is none.</returns>
    /// <exception cref="QueueFullException">As many jobs wait as may.</exception>
    public (bool Taken, Job Job)? AddFeedback(string id, string feedback)
    {
        var answer = database.Write<(bool Taken, Job Job)?>(connection =>
        {
            var now = time.GetUtcNow();
            LockQueue(connection);
            // Nobody else changes it from here on.
            connection.Execute("UPDATE prompt_jobs SET worker = worker WHERE id = @id", ("@id", id));
            if (JobRows.Find(connection, "id = @value", id) is not { } current)
                return null;
            if (current is not { Ended: true, Outcome: not null } || current.Turns.Count > MaxFeedback)
                return (false, current);
            CheckRoom(connection);
            connection.Execute("INSERT INTO prompt_turns (job, number, feedback, accepted_at, deadline_at) VALUES (@job, @number, @feedback, @now, @deadline)",
                ("@job", current.Sequence), ("@number", current.CurrentTurn.Number + 1), ("@feedback", feedback), ("@now", now), ("@deadline", now + current.Limits.Deadline));
            connection.Execute("UPDATE prompt_jobs SET state = 'Queued', attempts = 0, deaths = 0, not_before = NULL, cancel_requested = 0, failure = NULL, ended_at = NULL WHERE seq = @job",
                ("@job", current.Sequence));
            AddEvent(connection, current.Sequence, "queued", null);
            return (true, JobRows.Find(connection, "id = @value", id)!);
        });
        if (answer is { Taken: true })
            Changed?.Invoke(id);
        return answer;
    }

    /// <summary>What happened to a job after the given event, in order.</summary>
    public IReadOnlyList<JobEvent> Events(string id, long after) => database.Read(connection =>
        connection.Query(reader => new JobEvent(reader.Number("id"), reader.Text("type")!, reader.Time("at")!.Value, reader.Text("subject")),
            "SELECT e.id, e.type, e.at, e.subject FROM prompt_events e JOIN prompt_jobs j ON j.seq = e.job WHERE j.id = @id AND e.id > @after ORDER BY e.id",
            ("@id", id), ("@after", after)));

    /// <summary>A round's image, or null.</summary>
    public Models.GeneratedImage? Image(string id, int round) => database.Read(connection =>
        connection.Query(reader => new Models.GeneratedImage((byte[])reader["image"], reader.Text("media_type")!),
            "SELECT r.image, r.media_type FROM prompt_rounds r JOIN prompt_jobs j ON j.seq = r.job WHERE j.id = @id AND r.number = @round AND r.image IS NOT NULL",
            ("@id", id), ("@round", round)).FirstOrDefault());

    private void LockQueue(DbConnection connection)
    {
        if (database.Words.LockQueue is { } sql)
            connection.Execute(sql);
    }

    private void CheckRoom(DbConnection connection)
    {
        if (maxWaiting < int.MaxValue && connection.Scalar("SELECT COUNT(*) FROM prompt_jobs WHERE state = 'Queued'") is { } waiting && waiting >= maxWaiting)
            throw new QueueFullException(waiting);
    }

    /// <summary>Notes what happened to a job whose row this transaction has changed: so a job's events have their ids in the order in which others see them.</summary>
    private void AddEvent(DbConnection connection, long job, string type, string? subject) =>
        connection.Execute("INSERT INTO prompt_events (job, type, at, subject) VALUES (@job, @type, @now, @subject)",
            ("@job", job), ("@type", type), ("@now", time.GetUtcNow()), ("@subject", subject));

    private static string ToJson<T>(T value) => JsonSerializer.Serialize(value, Manifests.Json);
}
