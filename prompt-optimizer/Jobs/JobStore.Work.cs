using System.Data.Common;
using System.Globalization;
using System.Security.Cryptography;
using Moebius.PromptOptimizer.Agents;
using Moebius.PromptOptimizer.Models;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>The worker's side of the store.</summary>
internal sealed partial class JobStore
{
    /// <summary>Times that a process may die with a job in hand, without finishing a round in between. Ours.</summary>
    internal const int MaxDeaths = 5;

    /// <summary>How long a service has a job without a word, by the store's clock: then another may take it. Ours.</summary>
    internal static readonly TimeSpan Lease = TimeSpan.FromSeconds(30);

    /// <summary>This service among those that share the store, from its start to its end.</summary>
    private readonly string _worker = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(12));

    /// <summary>Whether other services may work on the same jobs.</summary>
    public bool IsShared => database.IsShared;

    /// <summary>Who alone has the store knows that what it has not in hand nobody has; else a lease tells.</summary>
    private string Lost => database.IsShared
        ? $"(worker = @worker OR worker IS NULL OR lease_until IS NULL OR lease_until <= {database.Words.Now})"
        : "@worker IS NOT NULL";

    /// <summary>Whether a running job is in this service's hands.</summary>
    public bool Holds(Job job) => job.Worker == _worker;

    /// <summary>Puts jobs back that run without a worker, as those that a process which died had in hand; every finished round of theirs is there.</summary>
    /// <param name="inHand">Jobs that have a worker here.</param>
    /// <returns>How many were put back.</returns>
    public int Recover(IEnumerable<string> inHand)
    {
        List<string> lost =
        [
            .. database.Read(connection => connection.Query(reader => reader.Text("id")!, $"SELECT id FROM prompt_jobs WHERE state = 'Running' AND {Lost}", ("@worker", _worker))).Except(inHand),
        ];
        if (lost.Count == 0)
            return 0;
        var now = time.GetUtcNow();
        List<(JobState State, string Reason)> ends = [];
        var put = database.Write(connection =>
        {
            ends.Clear();
            var queued = 0;
            foreach (var id in lost)
            {
                // Another may have been faster.
                var taken = connection.Query(reader => (Job: reader.Number("seq"), Deaths: reader.Number("deaths"), IsCancelled: reader.Number("cancel_requested") == 1), $"""
                    UPDATE prompt_jobs SET deaths = deaths + 1, worker = NULL, lease_until = NULL WHERE id = @id AND state = 'Running' AND {Lost}
                    RETURNING seq, deaths, cancel_requested
                    """, ("@id", id), ("@worker", _worker));
                if (taken is not [var (job, deaths, isCancelled)])
                    continue;
                if (isCancelled)
                {
                    End(job, JobState.Cancelled, null);
                }
                else if (deaths >= MaxDeaths)
                {
                    End(job, JobState.Failed, new(FailureReason.WorkerDied, $"the service died {MaxDeaths} times while it worked on this job"));
                }
                else
                {
                    connection.Execute("UPDATE prompt_jobs SET state = 'Queued', not_before = NULL WHERE seq = @job", ("@job", job));
                    AddEvent(connection, job, "queued", null);
                    queued++;
                }
            }

            return queued;

            void End(long job, JobState state, Failure? failure)
            {
                connection.Execute("UPDATE prompt_jobs SET state = @state, failure = @failure, ended_at = @now WHERE seq = @job",
                    ("@job", job), ("@state", state), ("@failure", failure is null ? null : ToJson(failure)), ("@now", now));
                AddEvent(connection, job, "ended", state.ToString());
                ends.Add((state, failure?.Reason.ToString() ?? state.ToString()));
            }
        });
        foreach (var (state, reason) in ends)
            Ended?.Invoke(state, reason);
        foreach (var id in lost)
            Changed?.Invoke(id);
        return put;
    }

    /// <summary>Takes the oldest job that is due, or none. It is not read here: one that cannot be is its worker's to fail.</summary>
    /// <param name="inHand">Jobs that a worker is still to let go of: who answers a result at once may be faster than it.</param>
    /// <returns>Its id.</returns>
    public string? Claim(IEnumerable<string> inHand)
    {
        var now = time.GetUtcNow();
        var claimed = database.Write(connection =>
        {
            var found = connection.Query(reader => (Id: reader.Text("id")!, Job: reader.Number("seq")), $"""
                UPDATE prompt_jobs SET state = 'Running', started_at = COALESCE(started_at, @now), not_before = NULL, worker = @worker, lease_until = {database.Words.Now} + @lease
                WHERE state = 'Queued' AND seq = (SELECT seq FROM prompt_jobs WHERE state = 'Queued' AND (not_before IS NULL OR not_before <= @now)
                             AND @inHand NOT LIKE '%' || id || '%' ORDER BY seq LIMIT 1 {database.Words.SkipLocked})
                RETURNING id, seq
                """, ("@now", now), ("@inHand", string.Join(' ', inHand)), ("@worker", _worker), ("@lease", (long)Lease.TotalMilliseconds));
            if (found is not [var (id, job)])
                return null;
            AddEvent(connection, job, "running", null);
            return id;
        });
        if (claimed is not null)
            Changed?.Invoke(claimed);
        return claimed;
    }

    /// <summary>Holds what this service has in hand for another <see cref="Lease"/>.</summary>
    /// <returns>What it has; what it believed to have beside that is another's.</returns>
    public IReadOnlyList<string> Renew() => database.Write(connection =>
        connection.Query(reader => reader.Text("id")!, $"UPDATE prompt_jobs SET lease_until = {database.Words.Now} + @lease WHERE worker = @worker AND state = 'Running' RETURNING id",
            ("@worker", _worker), ("@lease", (long)Lease.TotalMilliseconds)));

    /// <summary>Jobs in hand that somebody asked to cancel, here or elsewhere.</summary>
    public IReadOnlyList<string> CancelRequested() => database.Read(connection =>
        connection.Query(reader => reader.Text("id")!, "SELECT id FROM prompt_jobs WHERE worker = @worker AND state = 'Running' AND cancel_requested = 1", ("@worker", _worker)));

    /// <summary>The last event of each of these jobs; one that is gone is not among them.</summary>
    public IReadOnlyDictionary<string, long> LastEvents(IReadOnlyCollection<string> ids) => database.Read(connection =>
    {
        var found = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var some in ids.Chunk(500))
        {
            (string, object?)[] names = [.. some.Select((id, number) => ($"@p{number.ToString(CultureInfo.InvariantCulture)}", (object?)id))];
            foreach (var (id, last) in connection.Query(reader => (Id: reader.Text("id")!, Last: reader.Number("last")),
                $"SELECT j.id, (SELECT COALESCE(MAX(e.id), 0) FROM prompt_events e WHERE e.job = j.seq) AS last FROM prompt_jobs j WHERE j.id IN ({string.Join(", ", names.Select(name => name.Item1))})", names))
                found[id] = last;
        }

        return found;
    });

    /// <summary>Ids of queued jobs whose deadline has passed while every worker was busy.</summary>
    public IReadOnlyList<string> Expired() => database.Read(connection =>
        connection.Query(reader => reader.Text("id")!, $"SELECT j.id {CurrentTurnOfQueued} AND t.deadline_at <= @now", ("@now", time.GetUtcNow())));

    /// <summary>When a queued job next passes its deadline or, with a worker free for it, becomes due; null if none waits for a time.</summary>
    public DateTimeOffset? NextDue(bool workerFree) => database.Read(connection =>
    {
        var due = connection.Scalar(workerFree
            ? $"SELECT MIN(CASE WHEN j.not_before < t.deadline_at THEN j.not_before ELSE t.deadline_at END) {CurrentTurnOfQueued}"
            : $"SELECT MIN(t.deadline_at) {CurrentTurnOfQueued}");
        return due is { } milliseconds ? DateTimeOffset.FromUnixTimeMilliseconds(milliseconds) : (DateTimeOffset?)null;
    });

    private const string CurrentTurnOfQueued =
        "FROM prompt_jobs j JOIN prompt_turns t ON t.job = j.seq AND t.number = (SELECT MAX(number) FROM prompt_turns WHERE job = j.seq) WHERE j.state = 'Queued'";

    /// <summary>Notes that an agent starts.</summary>
    public void StepStarted(string id, string agent)
    {
        database.Write(connection =>
        {
            if (Hold(connection, id) is { } job)
                AddEvent(connection, job, "step", agent);
            return 0;
        });
        Changed?.Invoke(id);
    }

    public void SaveIntent(string id, Intent intent) => database.Write(connection =>
        connection.Execute("UPDATE prompt_jobs SET intent = @intent, attempts = 0, deaths = 0 WHERE id = @id AND state = 'Running' AND worker = @worker",
            ("@id", id), ("@intent", ToJson(intent)), ("@worker", _worker)));

    /// <summary>Adds to what a turn has used, before the next call starts: calls of a worker that died or lost its job are paid for too.</summary>
    public void AddUsage(string id, int turn, Usage usage) => database.Write(connection => connection.Execute("""
        UPDATE prompt_turns SET input_tokens = input_tokens + @input, output_tokens = output_tokens + @output, images = images + @images, model_ms = model_ms + @model
        WHERE number = @turn AND job = (SELECT seq FROM prompt_jobs WHERE id = @id)
        """, ("@id", id), ("@turn", turn), ("@input", usage.InputTokens), ("@output", usage.OutputTokens), ("@images", usage.Images), ("@model", usage.ModelMilliseconds)));

    /// <summary>Stores a finished round; it is on the disk when this returns.</summary>
    /// <returns>Whether it was taken: a job that another has in hand by now gets its rounds from that one.</returns>
    public bool SaveRound(string id, Round round, GeneratedImage? image)
    {
        var taken = database.Write(connection =>
        {
            if (Hold(connection, id) is not { } job)
                return false;
            connection.Execute("INSERT INTO prompt_rounds (job, number, body, media_type, image) VALUES (@job, @number, @body, @type, @image)",
                ("@job", job), ("@number", round.Number), ("@body", ToJson(round)), ("@type", image?.MediaType), ("@image", image?.Bytes));
            connection.Execute("UPDATE prompt_jobs SET attempts = 0, deaths = 0 WHERE seq = @job", ("@job", job));
            AddEvent(connection, job, "round", round.Number.ToString(CultureInfo.InvariantCulture));
            return true;
        });
        Changed?.Invoke(id);
        return taken;
    }

    /// <summary>Puts a job back: for a later attempt, or because the service stops. One that is to be cancelled waits for nothing.</summary>
    public void Requeue(string id, DateTimeOffset? notBefore, bool failedAttempt)
    {
        database.Write(connection =>
        {
            if (Hold(connection, id) is not { } job)
                return 0;
            connection.Execute("""
                UPDATE prompt_jobs SET state = 'Queued', not_before = CASE cancel_requested WHEN 0 THEN CAST(@notBefore AS BIGINT) END, attempts = attempts + @failed, worker = NULL, lease_until = NULL
                WHERE seq = @job
                """, ("@job", job), ("@notBefore", notBefore), ("@failed", failedAttempt ? 1 : 0));
            AddEvent(connection, job, "queued", null);
            return 0;
        });
        Changed?.Invoke(id);
    }

    /// <summary>Ends a job that has not ended yet, and that no other has in hand. A result of an earlier turn stays if this one has none.</summary>
    /// <returns>Whether this call ended it.</returns>
    public bool End(string id, JobState state, Outcome? outcome, Failure? failure)
    {
        var ended = database.Write(connection =>
        {
            var job = connection.Scalar("""
                UPDATE prompt_jobs SET state = @state, ended_at = @now, not_before = NULL, outcome = COALESCE(@outcome, outcome), failure = @failure, worker = NULL, lease_until = NULL
                WHERE id = @id AND (state = 'Queued' OR (state = 'Running' AND worker = @worker))
                RETURNING seq
                """, ("@id", id), ("@state", state), ("@now", time.GetUtcNow()), ("@worker", _worker),
                ("@outcome", outcome is null ? null : ToJson(outcome)), ("@failure", failure is null ? null : ToJson(failure)));
            if (job is { } sequence)
                AddEvent(connection, sequence, "ended", state.ToString());
            return job is not null;
        });
        if (ended)
            Ended?.Invoke(state, outcome?.Reason.ToString() ?? failure?.Reason.ToString() ?? state.ToString());
        Changed?.Invoke(id);
        return ended;
    }

    /// <summary>Keeps others from a job until the transaction ends, if it is in this service's hands.</summary>
    /// <returns>Its sequence number; null: it is not.</returns>
    private long? Hold(DbConnection connection, string id) =>
        connection.Scalar("UPDATE prompt_jobs SET worker = worker WHERE id = @id AND state = 'Running' AND worker = @worker RETURNING seq", ("@id", id), ("@worker", _worker));
}
