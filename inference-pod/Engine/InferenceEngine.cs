using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Moebius.Crds.Host;
using Moebius.Inference.Models;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Engine;

/// <summary>
/// Runs sequences through the model: one thread, one step at a time, each step as <see cref="StepPlanner"/> says.
/// Everything else (submitting, cancelling, answers of the prefix cache) reaches the thread as messages.
/// </summary>
internal sealed class InferenceEngine : IAsyncDisposable
{
    private readonly ICausalModel _model;
    private readonly Tokenizer _tokenizer;
    private readonly IEngineObserver _observer;
    private readonly SchedulerLimits _limits;
    private readonly TimeProvider _clock;
    private readonly ILogger _logger;
    private readonly QueueRoom _room;
    private readonly PrefixExchange _exchange;
    private readonly PrefillExchange _prefills;
    private readonly BlockingCollection<Action> _inbox = [];
    private readonly CancellationTokenSource _stopped = new();
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Thread _thread;

    private readonly Dictionary<Generation, RunningSequence> _sequences = [];
    private readonly SortedList<long, RunningSequence> _running = [];
    private readonly SortedList<long, RunningSequence> _waiting = [];
    private readonly HashSet<long> _preempted = [];
    private readonly HashSet<RunningSequence> _closing = [];
    private readonly FairShare _shares = new();
    private readonly EventRelay _relay = new();
    private readonly EarlyCollection _garbage;
    private long _nextId;
    private volatile bool _draining;

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
        _model = model;
        _tokenizer = tokenizer;
        _observer = observer;
        _limits = limits;
        // Room in the batch counts too: a queue of zero still serves what can run at once.
        _room = new QueueRoom(maxQueued + limits.MaxSequences);
        _clock = clock;
        _logger = logger;
        _garbage = new EarlyCollection(clock, TimeSpan.FromMilliseconds(500));
        _exchange = new PrefixExchange(model, tokenizer, cache, observer, Post, logger, _stopped.Token);
        _prefills = new PrefillExchange(model, observer);
        _thread = new Thread(Run) { Name = "engine", IsBackground = true };
    }

    /// <summary>Largest number of prompt and output tokens together.</summary>
    public int ContextLength => (int)Math.Min(_model.Info.ContextLength, (long)_limits.Blocks * _limits.BlockTokens);

    /// <summary>Begins to work.</summary>
    public void Start() => _thread.Start();

    /// <summary>Refuses a tenant for whom there is no room, before anything has been done for its request.</summary>
    /// <exception cref="QueueFullException">Too many wait already.</exception>
    public void CheckRoom(Tenant tenant) => _room.Check(tenant.Party);

    /// <summary>Queues one party's sequences, all or none. They must fit <see cref="ContextLength"/>.</summary>
    /// <exception cref="QueueFullException">Too many wait already.</exception>
    /// <exception cref="EngineStoppedException">The engine is stopping.</exception>
    public IReadOnlyList<Generation> Submit(IReadOnlyList<EngineRequest> requests)
    {
        if (_draining)
            throw new EngineStoppedException();
        var party = requests[0].Tenant.Party;
        foreach (var request in requests)
        {
            if (request.Tenant.Party != party)
                throw new ArgumentException("sequences that come together are one party's", nameof(requests));
            if (request.Prompt.Length == 0 || request.Prompt.Length + request.MaxTokens > ContextLength || request.MaxTokens < 0)
                throw new ArgumentException("a sequence must have a prompt and fit the context", nameof(requests));
        }

        _room.Enter(party, requests.Count);
        var generations = requests.Select(request => new Generation(request, End)).ToList();
        var arrived = _clock.GetTimestamp();
        if (!Post(() => Enqueue(generations, arrived)))
        {
            _room.Leave(party, requests.Count);
            throw new EngineStoppedException();
        }

        return generations;
    }

    /// <summary>Takes no more requests and waits for those there are; cancels what is left when told to stop waiting.</summary>
    public async Task DrainAsync(CancellationToken patience)
    {
        _draining = true;
        Post(() => { });
        try
        {
            await _idle.Task.WaitAsync(patience).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            Post(CancelAll);
            await _idle.Task.ConfigureAwait(false);
        }
    }

    /// <summary>Cancels everything and ends the thread.</summary>
    public async ValueTask DisposeAsync()
    {
        _draining = true;
        if (_thread.IsAlive)
        {
            await _stopped.CancelAsync().ConfigureAwait(false);
            Post(CancelAll);
            await _idle.Task.ConfigureAwait(false);
            _inbox.CompleteAdding();
            _thread.Join();
        }

        _inbox.Dispose();
        _stopped.Dispose();
    }

    private bool Post(Action message)
    {
        try
        {
            _inbox.Add(message);
            return true;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    private void End(Generation generation, FinishReason reason) => Post(() =>
    {
        if (_sequences.TryGetValue(generation, out var sequence))
            End(sequence, reason);
    });

    private void CancelAll()
    {
        foreach (var sequence in _sequences.Values.ToList())
            End(sequence, FinishReason.Abort);
        // Nor is there time for a cache that still takes blocks of finished answers.
        foreach (var sequence in _closing.ToList())
            Close(sequence);
    }

    private void Enqueue(List<Generation> generations, long arrived)
    {
        foreach (var generation in generations)
        {
            var sequence = new RunningSequence(_nextId++, generation, _relay, _tokenizer, _model.Info.EndOfSequence, arrived);
            _sequences.Add(generation, sequence);
            _waiting.Add(sequence.Id, sequence);
            _shares.Join(sequence.Party);
            // Who drains has been told that nothing is left: this came past the look at it before, and is too late.
            if (_idle.Task.IsCompleted)
                End(sequence, FinishReason.Abort);
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
                if (_draining && _running.Count == 0 && _waiting.Count == 0 && _closing.Count == 0 && _inbox.Count == 0)
                    _idle.TrySetResult();
                if (!worked)
                {
                    if (!_inbox.TryTake(out var first, Timeout.Infinite))
                        return;
                    first();
                }

                while (_inbox.TryTake(out var message))
                    message();
                _relay.Flush();
                _garbage.BetweenWork();
            }
        }
        catch (Exception error)
        {
            // A bug here would leave clients waiting for ever.
            _logger.LogCritical("The engine failed: {Failure}", FailureText.Of(error));
            Environment.FailFast("the engine failed");
        }
    }

    private bool Step()
    {
        if (_closing.Count > 0)
        {
            foreach (var done in _closing.Where(sequence => !sequence.Offering).ToList())
                Close(done);
        }

        var now = RunningSequence.AllOf(_running);
        _prefills.Apply(now);
        var plan = StepPlanner.Plan(
            Array.ConvertAll(now, static sequence => sequence.View),
            _waiting.Count == 0 || now.Length >= _limits.MaxSequences ? [] : Array.ConvertAll(RunningSequence.AllOf(_waiting), static sequence => sequence.View),
            _preempted,
            _shares.Served,
            _closing.Count == 0 ? 0 : _closing.Sum(sequence => StepPlanner.BlocksOf(sequence.Kv?.Length ?? 0, _limits)),
            _limits);
        foreach (var id in plan.Preempt)
            Preempt(_running[id]);
        foreach (var id in plan.Admit)
            Admit(_waiting[id]);
        Report();
        if (plan.Chunks.Count > 0)
            Compute(Work(plan.Chunks));
        return plan.Chunks.Count > 0 || plan.Preempt.Count > 0 || plan.Admit.Count > 0;
    }

    private (RunningSequence Sequence, int Tokens)[] Work(IReadOnlyList<(long Id, int Tokens)> chunks)
    {
        var work = new (RunningSequence, int)[chunks.Count];
        for (var i = 0; i < work.Length; i++)
            work[i] = (_running[chunks[i].Id], chunks[i].Tokens);
        return work;
    }

    private void Preempt(RunningSequence sequence)
    {
        _running.Remove(sequence.Id);
        _waiting.Add(sequence.Id, sequence);
        _preempted.Add(sequence.Id);
        sequence.DropKv();
        sequence.PrefixCounted |= !sequence.LookingUp;
        sequence.LookingUp = false;
        _observer.Preempted();
    }

    private void Admit(RunningSequence sequence)
    {
        _waiting.Remove(sequence.Id);
        _preempted.Remove(sequence.Id);
        _running.Add(sequence.Id, sequence);
        if (!sequence.Started)
            _observer.Started(_clock.GetElapsedTime(sequence.Arrived));
        sequence.Kv = _model.CreateSequence();
        _exchange.BeginLookup(sequence, first: !sequence.PrefixCounted);
        if (!sequence.Started)
            sequence.Began = _clock.GetTimestamp();
    }

    private void Compute((RunningSequence Sequence, int Tokens)[] work)
    {
        var begun = _clock.GetTimestamp();
        IReadOnlyList<float[]> logits;
        var lengths = Array.ConvertAll(work, static item => item.Sequence.Kv!.Length);
        try
        {
            logits = _model.Forward(Array.ConvertAll(work, static item => item.Sequence.Chunk(item.Tokens)));
        }
        catch (Exception error)
        {
            _logger.LogError("A step of {Sequences} sequences failed: {Failure}", work.Length, FailureText.Of(error));
            Retry(work, lengths);
            return;
        }

        // Each sequence's choice is its own: where and in which order they are made changes nothing.
        var choices = new SequenceChoice?[work.Length];
        _model.ForEach(work.Length, i => choices[i] = logits[i].Length == 0 ? null : work[i].Sequence.Choose(logits[i].AsSpan(^_model.Info.VocabularySize..)));
        _model.Return(logits);
        var now = _clock.GetTimestamp();
        var times = new TokenTimes(_observer, _clock, now);
        var computed = 0;
        for (var i = 0; i < work.Length; i++)
        {
            var (sequence, tokens) = work[i];
            computed += tokens;
            _shares.Charge(sequence.Party, tokens);
            if ((sequence.Computed() ?? choices[i]) is not { } choice)
                continue;
            if (choice.Said is not null)
                times.Add(sequence);
            Take(sequence, choice, now);
        }

        times.Tell();
        _observer.Step(computed, _clock.GetElapsedTime(begun));
    }

    /// <summary>
    /// After a step that failed, each of its sequences goes alone: a damaged expert ends those that need it and no others. Keys and values
    /// count once their step has succeeded, so what is half written is written again.
    /// </summary>
    private void Retry((RunningSequence Sequence, int Tokens)[] work, int[] lengths)
    {
        for (var i = 0; i < work.Length; i++)
        {
            // Where those of before were given up for other rotations, there is nothing left to go on from.
            if (work.Length == 1 || work[i].Sequence.Kv!.Length != lengths[i])
                End(work[i].Sequence, FinishReason.Error);
            else
                Compute([work[i]]);
        }
    }

    private void Take(RunningSequence sequence, SequenceChoice made, long now)
    {
        if (made.Said is not { } said)
        {
            _logger.LogError("A sequence of {Tokens} tokens failed: {Failure}", sequence.Tokens.Count, FailureText.Of(made.Failure!));
            End(sequence, made.Why);
            return;
        }

        sequence.LastToken = now;
        if (sequence.FirstToken == 0)
            sequence.FirstToken = now;
        sequence.Tell(said);
        _exchange.Offer(sequence, final: said.Finish is not null);
        if (said.Finish is not { } reason)
            return;
        _prefills.Leave(sequence, RunningSequence.AllOf(_running));
        Retire(sequence, reason);
    }

    private void End(RunningSequence sequence, FinishReason reason)
    {
        sequence.Tell(new GenerationEvent("", [], reason, sequence.Generated));
        if (reason == FinishReason.Stop)
            _exchange.Offer(sequence, final: true);
        Retire(sequence, reason);
    }

    private void Retire(RunningSequence sequence, FinishReason reason)
    {
        _sequences.Remove(sequence.Generation);
        _ = _waiting.Remove(sequence.Id) || _running.Remove(sequence.Id);
        _room.Leave(sequence.Party, 1);
        _preempted.Remove(sequence.Id);
        _shares.Leave(sequence.Party);
        var request = sequence.Request;
        _observer.Finished(reason, new SequenceTokens(request.Prompt.Length, sequence.Generation.CachedTokens, sequence.Generated, request.MaxTokens), _clock.GetElapsedTime(sequence.Arrived));
        if (request.Choices.End(sequence.Generated))
            _observer.Answered(request.Choices.Count, request.Choices.Longest);
        if (sequence.FirstToken != 0)
            _observer.Computed(_clock.GetElapsedTime(sequence.Began, sequence.FirstToken), _clock.GetElapsedTime(sequence.FirstToken, sequence.LastToken), sequence.Generated);
        sequence.Finished = true;
        request.Scores?.End();
        // A finished answer's blocks may still be on their way into the cache; a cancelled one gives all back now.
        if (sequence.Offering && reason is (FinishReason.Stop or FinishReason.Length))
            _closing.Add(sequence);
        else
            Close(sequence);
        Report();
    }

    private void Close(RunningSequence sequence)
    {
        _closing.Remove(sequence);
        sequence.DropKv();
    }

    private void Report()
    {
        var used = 0;
        for (var i = 0; i < _running.Count; i++)
            used += StepPlanner.BlocksOf(_running.GetValueAtIndex(i).Tokens.Count, _limits);
        _observer.Load(_running.Count, _waiting.Count, Math.Min(1, (double)used / _limits.Blocks));
    }
}
