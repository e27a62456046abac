using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Moebius.Crds.Host;
using Moebius.Inference.Constraints;
using Moebius.Inference.Models;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Engine;

/// <summary>
/// Runs sequences through the model: one thread, one step at a time, each step as <see cref="StepPlanner"/> says.
/// Everything else (submitting, cancelling, answers of the prefix cache) reaches the thread as messages.
/// </summary>
internal sealed class InferenceEngine : IAsyncDisposable
{
    private readonly ICausalModel model;
    private readonly Tokenizer tokenizer;
    private readonly IEngineObserver observer;
    private readonly SchedulerLimits limits;
    private readonly TimeProvider clock;
    private readonly ILogger logger;
    private readonly QueueRoom room;
    private readonly PrefixExchange exchange;
    private readonly PrefillExchange prefills;
    private readonly BlockingCollection<Action> inbox = [];
    private readonly CancellationTokenSource stopped = new();
    private readonly TaskCompletionSource idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Thread thread;

    private readonly SortedList<long, RunningSequence> running = [];
    private readonly SortedList<long, RunningSequence> waiting = [];
    private readonly HashSet<long> preempted = [];
    private readonly HashSet<RunningSequence> closing = [];
    private readonly FairShare shares = new();
    private readonly EventRelay relay = new();
    private readonly EarlyCollection garbage;
    private long nextId;
    private volatile bool draining;

    public InferenceEngine(
        ICausalModel model,
        Tokenizer tokenizer,
        IPrefixCache cache,
        IEngineObserver observer,
        SchedulerLimits limits,
        int maxQueued,
        TimeProvider clock,
        ILogger logger)
    {
        this.model = model;
        this.tokenizer = tokenizer;
        this.observer = observer;
        this.limits = limits;
        // Room in the batch counts too: a queue of zero still serves what can run at once.
        room = new QueueRoom(maxQueued + limits.MaxSequences);
        this.clock = clock;
        this.logger = logger;
        garbage = new EarlyCollection(clock, TimeSpan.FromMilliseconds(500));
        exchange = new PrefixExchange(model, tokenizer, cache, observer, Post, logger, stopped.Token);
        prefills = new PrefillExchange(model, observer);
        thread = new Thread(Run) { Name = "engine", IsBackground = true };
    }

    /// <summary>Largest number of prompt and output tokens together.</summary>
    public int ContextLength => (int)Math.Min(model.Info.ContextLength, (long)limits.Blocks * limits.BlockTokens);

    /// <summary>Begins to work.</summary>
    public void Start() => thread.Start();

    /// <summary>Refuses a tenant for whom there is no room, before anything has been done for its request.</summary>
    /// <exception cref="QueueFullException">Too many wait already.</exception>
    public void CheckRoom(Tenant tenant) => room.Check(tenant.Party);

    /// <summary>Queues one party's sequences, all or none. They must fit <see cref="ContextLength"/>.</summary>
    /// <exception cref="QueueFullException">Too many wait already.</exception>
    /// <exception cref="EngineStoppedException">The engine is stopping.</exception>
    public IReadOnlyList<Generation> Submit(IReadOnlyList<EngineRequest> requests)
    {
        if (draining)
            throw new EngineStoppedException();
        var party = requests[0].Tenant.Party;
        foreach (var request in requests)
        {
            if (request.Tenant.Party != party)
                throw new ArgumentException("sequences that come together are one party's", nameof(requests));
            if (request.Prompt.Length == 0 || request.Prompt.Length + request.MaxTokens > ContextLength || request.MaxTokens < 1)
                throw new ArgumentException("a sequence must have a prompt, an output and fit the context", nameof(requests));
        }

        room.Enter(party, requests.Count);
        var generations = requests.Select(request => new Generation(request, Cancel)).ToList();
        var arrived = clock.GetTimestamp();
        if (!Post(() => Enqueue(generations, arrived)))
        {
            room.Leave(party, requests.Count);
            throw new EngineStoppedException();
        }

        return generations;
    }

    /// <summary>Takes no more requests and waits for those there are; cancels what is left when told to stop waiting.</summary>
    public async Task DrainAsync(CancellationToken patience)
    {
        draining = true;
        Post(() => { });
        try
        {
            await idle.Task.WaitAsync(patience).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            Post(CancelAll);
            await idle.Task.ConfigureAwait(false);
        }
    }

    /// <summary>Cancels everything and ends the thread.</summary>
    public async ValueTask DisposeAsync()
    {
        draining = true;
        if (thread.IsAlive)
        {
            Post(CancelAll);
            await idle.Task.ConfigureAwait(false);
            await stopped.CancelAsync().ConfigureAwait(false);
            inbox.CompleteAdding();
            thread.Join();
        }

        inbox.Dispose();
        stopped.Dispose();
    }

    private bool Post(Action message)
    {
        try
        {
            inbox.Add(message);
            return true;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    private void Cancel(Generation generation) => Post(() =>
    {
        var sequence = running.Values.Concat(waiting.Values).FirstOrDefault(candidate => ReferenceEquals(candidate.Generation, generation));
        if (sequence is not null)
            End(sequence, FinishReason.Abort);
    });

    private void CancelAll()
    {
        foreach (var sequence in running.Values.Concat(waiting.Values).ToList())
            End(sequence, FinishReason.Abort);
    }

    private void Enqueue(List<Generation> generations, long arrived)
    {
        foreach (var generation in generations)
        {
            var sequence = new RunningSequence(nextId++, generation, relay, tokenizer, model.Info.EndOfSequence, arrived);
            waiting.Add(sequence.Id, sequence);
            shares.Join(sequence.Party);
        }
    }

    private void Run()
    {
        try
        {
            while (true)
            {
                // Wait for a message only when there is nothing to compute.
                var worked = Step();
                if (draining && running.Count == 0 && waiting.Count == 0 && closing.Count == 0 && inbox.Count == 0)
                    idle.TrySetResult();
                if (!worked)
                {
                    if (!inbox.TryTake(out var first, Timeout.Infinite))
                        return;
                    first();
                }

                while (inbox.TryTake(out var message))
                    message();
                relay.Flush();
                garbage.BetweenWork();
            }
        }
        catch (Exception error)
        {
            // A bug here would leave clients waiting for ever.
            logger.LogCritical(error, "The engine failed");
            Environment.FailFast("the engine failed", error);
        }
    }

    private bool Step()
    {
        if (closing.Count > 0)
        {
            foreach (var done in closing.Where(sequence => !sequence.Offering).ToList())
                Close(done);
        }

        var now = All(running);
        prefills.Apply(now);
        var plan = StepPlanner.Plan(
            Array.ConvertAll(now, static sequence => sequence.View),
            waiting.Count == 0 ? [] : Array.ConvertAll(All(waiting), static sequence => sequence.View),
            preempted,
            shares.Served,
            closing.Count == 0 ? 0 : closing.Sum(sequence => StepPlanner.BlocksOf(sequence.Kv?.Length ?? 0, limits)),
            limits);
        foreach (var id in plan.Preempt)
            Preempt(running[id]);
        foreach (var id in plan.Admit)
            Admit(waiting[id]);
        Report();
        if (plan.Chunks.Count > 0)
            Compute(Work(plan.Chunks));
        return plan.Chunks.Count > 0 || plan.Preempt.Count > 0 || plan.Admit.Count > 0;
    }

    private (RunningSequence Sequence, int Tokens)[] Work(IReadOnlyList<(long Id, int Tokens)> chunks)
    {
        var work = new (RunningSequence, int)[chunks.Count];
        for (var i = 0; i < work.Length; i++)
            work[i] = (running[chunks[i].Id], chunks[i].Tokens);
        return work;
    }

    // In order. A loop over such a list makes an object that answers for each.
    private static RunningSequence[] All(SortedList<long, RunningSequence> sequences)
    {
        var all = new RunningSequence[sequences.Count];
        for (var i = 0; i < all.Length; i++)
            all[i] = sequences.GetValueAtIndex(i);
        return all;
    }

    private void Preempt(RunningSequence sequence)
    {
        running.Remove(sequence.Id);
        waiting.Add(sequence.Id, sequence);
        preempted.Add(sequence.Id);
        sequence.DropKv();
        sequence.LookingUp = false;
        sequence.WasPreempted = true;
        observer.Preempted();
    }

    private void Admit(RunningSequence sequence)
    {
        waiting.Remove(sequence.Id);
        preempted.Remove(sequence.Id);
        running.Add(sequence.Id, sequence);
        if (!sequence.Started)
            observer.Started(clock.GetElapsedTime(sequence.Arrived));
        sequence.Kv = model.CreateSequence();
        exchange.BeginLookup(sequence, first: !sequence.Started);
        if (!sequence.Started)
            sequence.Began = clock.GetTimestamp();
    }

    private void Compute((RunningSequence Sequence, int Tokens)[] work)
    {
        var begun = clock.GetTimestamp();
        IReadOnlyList<float[]> logits;
        try
        {
            logits = model.Forward(Array.ConvertAll(work, static item => Chunk(item.Sequence, item.Tokens)));
        }
        catch (Exception error)
        {
            // Keys and values may be half written: none of the step's sequences can go on.
            logger.LogError(error, "A step of {Sequences} sequences failed", work.Length);
            foreach (var (sequence, _) in work)
                End(sequence, FinishReason.Error);
            return;
        }

        // Each sequence's choice is its own: where and in which order they are made changes nothing.
        var choices = new Choice?[work.Length];
        model.ForEach(work.Length, i => choices[i] = logits[i].Length == 0 ? null : Choose(work[i].Sequence, logits[i].AsSpan(^model.Info.VocabularySize..)));
        model.Return(logits);
        var now = clock.GetTimestamp();
        var times = new TokenTimes(observer, clock, now);
        var computed = 0;
        for (var i = 0; i < work.Length; i++)
        {
            var (sequence, tokens) = work[i];
            computed += tokens;
            shares.Charge(sequence.Party, tokens);
            if (choices[i] is not { } choice)
                continue;
            if (choice.Said is not null)
                times.Add(sequence);
            Take(sequence, choice, now);
        }

        times.Tell();
        observer.Step(computed, clock.GetElapsedTime(begun));
    }

    private static SequenceChunk Chunk(RunningSequence sequence, int tokens)
    {
        var from = sequence.Kv!.Length;
        var last = from + tokens == sequence.Tokens.Count;
        return new SequenceChunk(sequence.Kv, CollectionsMarshal.AsSpan(sequence.Tokens).Slice(from, tokens).ToArray(), last ? LogitsFor.Last : LogitsFor.None);
    }

    private static Choice Choose(RunningSequence sequence, Span<float> logits)
    {
        try
        {
            return new Choice(sequence.Accept(sequence.Sampler.Next(logits, sequence.Constraint)), null, default);
        }
        catch (AmbiguousGrammarException error)
        {
            return new Choice(null, error, FinishReason.Grammar);
        }
        catch (Exception error)
        {
            // Whatever comes of one request's settings and text, the others of its step go on.
            return new Choice(null, error, FinishReason.Error);
        }
    }

    private void Take(RunningSequence sequence, Choice made, long now)
    {
        if (made.Said is not { } said)
        {
            logger.LogError(made.Failure, "A sequence of {Tokens} tokens failed", sequence.Tokens.Count);
            End(sequence, made.Why);
            return;
        }

        sequence.LastToken = now;
        if (sequence.FirstToken == 0)
            sequence.FirstToken = now;
        sequence.Tell(said);
        exchange.Offer(sequence, final: said.Finish is not null);
        if (said.Finish is { } reason)
            Retire(sequence, reason);
    }

    private void End(RunningSequence sequence, FinishReason reason)
    {
        sequence.Tell(new GenerationEvent("", [], reason));
        sequence.Finished = true;
        Retire(sequence, reason);
    }

    private void Retire(RunningSequence sequence, FinishReason reason)
    {
        if (waiting.Remove(sequence.Id) || running.Remove(sequence.Id))
            room.Leave(sequence.Party, 1);
        preempted.Remove(sequence.Id);
        shares.Leave(sequence.Party);
        var request = sequence.Request;
        observer.Finished(reason, new SequenceTokens(request.Prompt.Length, sequence.Generation.CachedTokens, sequence.Generated, request.MaxTokens), clock.GetElapsedTime(sequence.Arrived));
        if (request.Choices.End(sequence.Generated))
            observer.Answered(request.Choices.Count, request.Choices.Longest);
        if (sequence.FirstToken != 0)
            observer.Computed(clock.GetElapsedTime(sequence.Began, sequence.FirstToken), clock.GetElapsedTime(sequence.FirstToken, sequence.LastToken), sequence.Generated);
        sequence.Finished = true;

        // A finished answer's blocks may still be on their way into the cache; a cancelled one gives all back now.
        if (sequence.Offering && reason is (FinishReason.Stop or FinishReason.Length))
            closing.Add(sequence);
        else
            Close(sequence);
        Report();
    }

    /// <summary>What a sequence says with its next token, or why there is none.</summary>
    private readonly record struct Choice(GenerationEvent? Said, Exception? Failure, FinishReason Why);

    private void Close(RunningSequence sequence)
    {
        closing.Remove(sequence);
        sequence.DropKv();
    }

    private void Report()
    {
        var used = 0;
        for (var i = 0; i < running.Count; i++)
            used += StepPlanner.BlocksOf(running.GetValueAtIndex(i).Tokens.Count, limits);
        observer.Load(running.Count, waiting.Count, Math.Min(1, (double)used / limits.Blocks));
    }
}
