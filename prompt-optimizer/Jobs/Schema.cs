namespace Moebius.PromptOptimizer.Jobs;

/// <summary>Where the SQL of the two stores differs; all else is written once.</summary>
/// <param name="Key">Type of a key that grows by itself.</param>
/// <param name="Number">Type of a whole number of 64 bits.</param>
/// <param name="Bytes">Type of bytes.</param>
/// <param name="TableEnd">What follows a table's columns.</param>
/// <param name="Now">The store's own clock, in milliseconds since 1970: one clock for all who share it.</param>
/// <param name="SkipLocked">Passes over rows that another is taking.</param>
/// <param name="LockQueue">Lets in one after the other until the transaction ends; null where writers are alone anyway.</param>
internal sealed record SqlWords(string Key, string Number, string Bytes, string TableEnd, string Now, string SkipLocked, string? LockQueue);

/// <summary>The tables, and how those of earlier versions become them.</summary>
internal static class Schema
{
    /// <summary>The version that this program writes. 1 had no leases, and names that only a file of its own could have.</summary>
    public const long Version = 2;

    /// <summary>What makes a file of version 1 one of version 2.</summary>
    public const string FileFrom1 = """
        ALTER TABLE jobs RENAME TO prompt_jobs;
        ALTER TABLE turns RENAME TO prompt_turns;
        ALTER TABLE rounds RENAME TO prompt_rounds;
        ALTER TABLE events RENAME TO prompt_events;
        ALTER TABLE prompt_jobs ADD COLUMN worker TEXT;
        ALTER TABLE prompt_jobs ADD COLUMN lease_until INTEGER;
        CREATE INDEX prompt_jobs_by_end ON prompt_jobs (ended_at) WHERE ended_at IS NOT NULL;
        """;

    public static string Tables(SqlWords words) => $"""
        CREATE TABLE prompt_jobs (
            seq {words.Key},
            id TEXT NOT NULL UNIQUE,
            idempotency_key TEXT UNIQUE,
            fingerprint TEXT NOT NULL,
            prompt TEXT NOT NULL,
            dialects TEXT NOT NULL,
            limits TEXT NOT NULL,
            state TEXT NOT NULL,
            created_at {words.Number} NOT NULL,
            started_at {words.Number},
            ended_at {words.Number},
            attempts {words.Number} NOT NULL DEFAULT 0,
            deaths {words.Number} NOT NULL DEFAULT 0,
            not_before {words.Number},
            cancel_requested {words.Number} NOT NULL DEFAULT 0,
            intent TEXT,
            outcome TEXT,
            failure TEXT,
            worker TEXT,
            lease_until {words.Number}
        ){words.TableEnd};
        CREATE INDEX prompt_jobs_by_state ON prompt_jobs (state, seq);
        CREATE INDEX prompt_jobs_by_end ON prompt_jobs (ended_at) WHERE ended_at IS NOT NULL;
        CREATE TABLE prompt_turns (
            job {words.Number} NOT NULL REFERENCES prompt_jobs (seq) ON DELETE CASCADE,
            number {words.Number} NOT NULL,
            feedback TEXT,
            accepted_at {words.Number} NOT NULL,
            deadline_at {words.Number} NOT NULL,
            input_tokens {words.Number} NOT NULL DEFAULT 0,
            output_tokens {words.Number} NOT NULL DEFAULT 0,
            images {words.Number} NOT NULL DEFAULT 0,
            model_ms {words.Number} NOT NULL DEFAULT 0,
            PRIMARY KEY (job, number)
        ){words.TableEnd};
        CREATE TABLE prompt_rounds (
            job {words.Number} NOT NULL REFERENCES prompt_jobs (seq) ON DELETE CASCADE,
            number {words.Number} NOT NULL,
            body TEXT NOT NULL,
            media_type TEXT,
            image {words.Bytes},
            PRIMARY KEY (job, number)
        ){words.TableEnd};
        CREATE TABLE prompt_events (
            id {words.Key},
            job {words.Number} NOT NULL REFERENCES prompt_jobs (seq) ON DELETE CASCADE,
            type TEXT NOT NULL,
            at {words.Number} NOT NULL,
            subject TEXT
        ){words.TableEnd};
        CREATE INDEX prompt_events_by_job ON prompt_events (job, id);
        """;
}
