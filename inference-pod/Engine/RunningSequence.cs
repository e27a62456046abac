using System.Collections.Frozen;
using System.Runtime.InteropServices;
using Moebius.Inference.Constraints;
using Moebius.Inference.Models;
using Moebius.Inference.Text;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Engine;

/// <summary>A sequence inside the engine. Touched by the engine's thread only, or by one that chooses its next token for it.</summary>
internal sealed class RunningSequence(long id, Generation generation, EventRelay relay, Tokenizer tokenizer, IReadOnlySet<int> endOfSequence, long arrived)
{
    private readonly Utf8Stream _decoder = new();
    private readonly StopText _stop = new(generation.Request.Stop);
    private readonly IReadOnlySet<int> _ends = Ends(generation.Request, endOfSequence);
    private readonly bool _showsSpecial = generation.Request.ShownTokens.Count > 0;

    public long Id => id;

    public Generation Generation => generation;

    public EngineRequest Request { get; } = generation.Request;

    /// <summary>Who is charged for it.</summary>
    public string Party { get; } = generation.Request.Tenant.Party;

    /// <summary>Prompt and output.</summary>
    public List<int> Tokens { get; } = [.. generation.Request.Prompt];

    public Sampler Sampler { get; } = new(generation.Request.Sampling, generation.Request.Prompt);

    /// <summary>What the output must look like; null: anything.</summary>
    public OutputConstraint? Constraint { get; } = generation.Request.Grammar is { } grammar ? new OutputConstraint(grammar, endOfSequence) : null;

    public ISequenceKv? Kv { get; set; }

    /// <summary>Its cached prefix is being looked up.</summary>
    public bool LookingUp { get; set; }

    /// <summary>An earlier sequence computes blocks that this one then copies: left out of the next step.</summary>
    public bool AwaitsPrefill { get; set; }

    /// <summary>It was preempted after what it found in the cache was counted: what it finds or copies now, it had before.</summary>
    public bool PrefixCounted { get; set; }

    /// <summary>The end has been told; only its blocks may still be on their way into the cache.</summary>
    public bool Finished { get; set; }

    /// <summary>Leading blocks that the prefix cache has, or was offered.</summary>
    public int OfferedBlocks { get; set; }

    /// <summary>Blocks are on their way into the prefix cache.</summary>
    public bool Offering { get; set; }

    /// <summary>The prefix cache had no room: nothing more is offered to it.</summary>
    public bool Refused { get; set; }

    /// <summary>It began at least once, so that a start after preemption is not counted twice.</summary>
    public bool Started => Began != 0;

    /// <summary>When it began first; 0: not yet.</summary>
    public long Began { get; set; }

    public long Arrived { get; } = arrived;

    public long FirstToken { get; set; }

    public long LastToken { get; set; } = arrived;

    public int Generated => Tokens.Count - Request.Prompt.Length;

    /// <summary>Every token of its prompt has to pass through the model: keys and values that are there already have no logits.</summary>
    public bool ComputesAll => Request.Scores is { Complete: false };

    public SequenceView View => new(id, Party, Tokens.Count, Kv?.Length ?? 0, !LookingUp && !AwaitsPrefill);

    public PrefillView PrefillView => new(id, Request.Tenant, Tokens, Request.PublicTokens, Kv?.Length ?? 0) { ComputesAll = ComputesAll };

    /// <summary>In order of their numbers. A loop over such a list makes an object that answers for each.</summary>
    public static RunningSequence[] AllOf(SortedList<long, RunningSequence> sequences)
    {
        var all = new RunningSequence[sequences.Count];
        for (var i = 0; i < all.Length; i++)
            all[i] = sequences.GetValueAtIndex(i);
        return all;
    }

    /// <summary>Its next tokens, for a step.</summary>
    public SequenceChunk Chunk(int tokens)
    {
        var from = Kv!.Length;
        var chooses = from + tokens == Tokens.Count && Request.MaxTokens > 0;
        return new SequenceChunk(Kv, CollectionsMarshal.AsSpan(Tokens).Slice(from, tokens).ToArray(), chooses ? LogitsFor.Last : LogitsFor.None)
        {
            Prompt = Request.Prompt.Length,
            Reading = Request.Scores?.Reading(from, tokens),
        };
    }

    /// <summary>After a step that computed some of it: notes what is known of the prompt. Answers an end that comes without a token.</summary>
    public SequenceChoice? Computed()
    {
        if (Request.Scores is { } scores)
        {
            if (scores.Failure is { } failure)
                return new SequenceChoice(null, failure, FinishReason.Error);
            scores.Advance(Kv!.Length);
        }

        return Request.MaxTokens == 0 && Kv!.Length == Tokens.Count ? new SequenceChoice(new GenerationEvent("", [], FinishReason.Length, 0), null, default) : null;
    }

    /// <summary>Chooses its next token.</summary>
    /// <param name="logits">[vocabulary]; changed.</param>
    public SequenceChoice Choose(Span<float> logits)
    {
        try
        {
            return new SequenceChoice(Accept(Sampler.Next(logits, Constraint, Generated < Request.MinTokens ? _ends : null)), null, default);
        }
        catch (AmbiguousGrammarException error)
        {
            return new SequenceChoice(null, error, FinishReason.Grammar);
        }
        catch (Exception error)
        {
            // Whatever comes of one request's settings and text, the others of its step go on.
            return new SequenceChoice(null, error, FinishReason.Error);
        }
    }

    /// <summary>Takes a chosen token. Answers what is to be told the client.</summary>
    /// <exception cref="InvalidDataException">The token does not fit the constraint.</exception>
    private GenerationEvent Accept(ChosenToken choice)
    {
        var token = choice.Chosen.Token;
        Constraint?.Accept(token);
        Tokens.Add(token);
        var ends = _ends.Contains(token);
        var written = _decoder.Append(Written(token, ends));
        var (text, stopped) = Generated <= Request.MinTokens ? (written, false) : _stop.Append(written);
        FinishReason? finish = stopped || ends || Constraint is { Finished: true }
            ? FinishReason.Stop
            : Generated >= Request.MaxTokens ? FinishReason.Length : null;
        if (finish is not null && !stopped)
        {
            // What was held back for a stop text that never came is output; the end may also complete one.
            var (last, ended) = _stop.Append(_decoder.Finish());
            text += last;
            if (ended)
                finish = FinishReason.Stop;
            else
                text += _stop.Finish();
        }

        return new GenerationEvent(text, Request.Sampling.Logprobs is null ? [] : [choice], finish, Generated);
    }

    /// <summary>The tokens that end it: mostly those of the model, which all share.</summary>
    private static IReadOnlySet<int> Ends(EngineRequest request, IReadOnlySet<int> endOfSequence) =>
        request.IgnoreEndOfSequence ? request.StopTokens
        : request.StopTokens.Count == 0 ? endOfSequence
        : request.StopTokens.Concat(endOfSequence).ToFrozenSet();

    /// <summary>What ends a text is no part of it, also where the tokenizer does not call it special.</summary>
    private ReadOnlySpan<byte> Written(int token, bool ends) =>
        _showsSpecial && Request.ShownTokens.Contains(token) ? tokenizer.Bytes(token) : ends ? [] : tokenizer.TextBytes(token);

    public void Tell(GenerationEvent said) => relay.Add(generation, said);

    public void DropKv()
    {
        Kv?.Dispose();
        Kv = null;
    }
}

/// <summary>What a sequence says with its next token, or why there is none.</summary>
internal readonly record struct SequenceChoice(GenerationEvent? Said, Exception? Failure, FinishReason Why);
