using System.Globalization;
using Moebius.PromptOptimizer.Agents;
using Moebius.PromptOptimizer.Models;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>The worker's side of the store.</summary>
internal sealed partial class JobStore
{
    /// <summary>Times that a process may die with a job in hand, without finishing a round in between. Ours.</summary>
    internal const int MaxDeaths = 5;

    /// <summary>Puts jobs back that run without a worker, as those that a process which died had in hand; every finished round of theirs is there.</summary>
    /// <param name="inHand">Jobs that have a worker.</param>
    /// <returns>How many were put back.</returns>
    public int Recover(IEnumerable<string> inHand)
    {
        List<string> lost = [.. database.Read(connection => connection.Query(reader => reader.Text("id")!, "SELECT id FROM jobs WHERE state = 'Running'")).Except(inHand)];
        if (lost.Count == 0)
            return 0;
        var now = time.GetUtcNow();
        List<(JobState State, string Reason)> ends = [];
        var put = database.Write(connection =>
        {
            var queued = 0;
            foreach (var id in lost)
            {
                connection.Execute("UPDATE jobs SET deaths = deaths + 1 WHERE id = $id", ("$id", id));
                if (connection.Scalar("SELECT cancel_requested FROM jobs WHERE id = $id", ("$id", id)) == 1)
                {
                    End(id, JobState.Cancelled, null);
                }
                else if (connection.Scalar("SELECT deaths FROM jobs WHERE id = $id", ("$id", id)) >= MaxDeaths)
                {
                    End(id, JobState.Failed, new(FailureReason.WorkerDied, $"the service died {MaxDeaths} times while it worked on this job"));
                }
                else
                {
                    connection.Execute("UPDATE jobs SET state = 'Queued', not_before = NULL WHERE id = $id", ("$id", id));
                    AddEvent(connection, id, "queued", null);
                    queued++;
                }
            }

            return queued;

            void End(string id, JobState state, Failure? failure)
            {
                connection.Execute("UPDATE jobs SET state = $state, failure = $failure, ended_at = $now WHERE id = $id",
                    ("$id", id), ("$state", state), ("$failure", failure is null ? null : ToJson(failure)), ("$now", now));
                AddEvent(connection, id, "ended", state.ToString());
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
            var id = connection.Query(reader => reader.Text("id")!, """
                UPDATE jobs SET state = 'Running', started_at = COALESCE(started_at, $now), not_before = NULL
                WHERE seq = (SELECT seq FROM jobs WHERE state = 'Queued' AND (not_before IS NULL OR not_before <= $now)
                             AND id NOT IN (SELECT value FROM json_each($inHand)) ORDER BY seq LIMIT 1)
                RETURNING id
                """, ("$now", now), ("$inHand", ToJson(inHand))).FirstOrDefault();
            if (id is not null)
                AddEvent(connection, id, "running", null);
            return id;
        });
        if (claimed is not null)
            Changed?.Invoke(claimed);
        return claimed;
    }

    /// <summary>Ids of queued jobs whose deadline has passed while every worker was busy.</summary>
    public IReadOnlyList<string> Expired() => database.Read(connection =>
        connection.Query(reader => reader.Text("id")!, $"SELECT j.id {CurrentTurnOfQueued} AND t.deadline_at <= $now", ("$now", time.GetUtcNow())));

    /// <summary>When a queued job next passes its deadline or, with a worker free for it, becomes due; null if none waits for a time.</summary>
    public DateTimeOffset? NextDue(bool workerFree) => database.Read(connection =>
    {
        var due = connection.Scalar(workerFree
            ? $"SELECT MIN(MIN(t.deadline_at, COALESCE(j.not_before, t.deadline_at))) {CurrentTurnOfQueued}"
            : $"SELECT MIN(t.deadline_at) {CurrentTurnOfQueued}");
        return due is { } milliseconds ? DateTimeOffset.FromUnixTimeMilliseconds(milliseconds) : (DateTimeOffset?)null;
    });

    private const string CurrentTurnOfQueued =
        "FROM jobs j JOIN turns t ON t.job = j.seq AND t.number = (SELECT MAX(number) FROM turns WHERE job = j.seq) WHERE j.state = 'Queued'";

    /// <summary>Notes that an agent starts.</summary>
    public void StepStarted(string id, string agent)
    {
        database.Write(connection =>
        {
            AddEvent(connection, id, "step", agent);
            return 0;
        });
        Changed?.Invoke(id);
    }

    public void SaveIntent(string id, Intent intent) => database.Write(connection =>
        connection.Execute("UPDATE jobs SET intent = $intent, attempts = 0, deaths = 0 WHERE id = $id AND state = 'Running'", ("$id", id), ("$intent", ToJson(intent))));

    /// <summary>Adds to what a turn has used, before the next call starts: a dead worker's calls are paid for too.</summary>
    public void AddUsage(string id, int turn, Usage usage) => database.Write(connection => connection.Execute("""
        UPDATE turns SET input_tokens = input_tokens + $input, output_tokens = output_tokens + $output, images = images + $images, model_ms = model_ms + $model
        WHERE number = $turn AND job = (SELECT seq FROM jobs WHERE id = $id)
        """, ("$id", id), ("$turn", turn), ("$input", usage.InputTokens), ("$output", usage.OutputTokens), ("$images", usage.Images), ("$model", usage.ModelMilliseconds)));

    /// <summary>Stores a finished round; it is on the disk when this returns.</summary>
    public void SaveRound(string id, Round round, GeneratedImage? image)
    {
        database.Write(connection =>
        {
            connection.Execute("INSERT INTO rounds (job, number, body, media_type, image) SELECT seq, $number, $body, $type, $image FROM jobs WHERE id = $id",
                ("$id", id), ("$number", round.Number), ("$body", ToJson(round)), ("$type", image?.MediaType), ("$image", image?.Bytes));
            connection.Execute("UPDATE jobs SET attempts = 0, deaths = 0 WHERE id = $id", ("$id", id));
            AddEvent(connection, id, "round", round.Number.ToString(CultureInfo.InvariantCulture));
            return 0;
        });
        Changed?.Invoke(id);
    }

    /// <summary>Puts a job back: for a later attempt, or because the service stops. One that is to be cancelled waits for nothing.</summary>
    public void Requeue(string id, DateTimeOffset? notBefore, bool failedAttempt)
    {
        database.Write(connection =>
        {
            if (connection.Execute("UPDATE jobs SET state = 'Queued', not_before = CASE cancel_requested WHEN 0 THEN $notBefore END, attempts = attempts + $failed WHERE id = $id AND state = 'Running'",
                ("$id", id), ("$notBefore", notBefore), ("$failed", failedAttempt ? 1 : 0)) == 1)
                AddEvent(connection, id, "queued", null);
            return 0;
        });
        Changed?.Invoke(id);
    }

    /// <summary>Ends a job that has not ended yet. A result of an earlier turn stays if this one has none.</summary>
    /// <returns>Whether this call ended it.</returns>
    public bool End(string id, JobState state, Outcome? outcome, Failure? failure)
    {
        var ended = database.Write(connection =>
        {
            var changed = connection.Execute("""
                UPDATE jobs SET state = $state, ended_at = $now, not_before = NULL, outcome = COALESCE($outcome, outcome), failure = $failure
                WHERE id = $id AND state IN ('Running', 'Queued')
                """, ("$id", id), ("$state", state), ("$now", time.GetUtcNow()),
                ("$outcome", outcome is null ? null : ToJson(outcome)), ("$failure", failure is null ? null : ToJson(failure))) == 1;
            if (changed)
                AddEvent(connection, id, "ended", state.ToString());
            return changed;
        });
        if (ended)
            Ended?.Invoke(state, outcome?.Reason.ToString() ?? failure?.Reason.ToString() ?? state.ToString());
        Changed?.Invoke(id);
        return ended;
    }
}
