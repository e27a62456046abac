using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Moebius.Inference.Models;

namespace Moebius.Inference.Tests.Engine;

/// <summary>
/// A model whose next token is a hash of everything before it, and whose keys and values are the tokens themselves: a
/// sequence that was batched, preempted, or restored wrongly says something else than one that ran alone.
/// </summary>
internal sealed class ToyModel : ICausalModel
{
    public const int Vocabulary = 4096;

    private int _live;
    private long _liveBytes;

    public ToyModel(int context = 512, int blockTokens = 4, int kvSharedUpTo = int.MaxValue, int end = 0) =>
        Info = new ModelInfo("toy", Vocabulary, context, 1, new HashSet<int> { 0, end }, blockTokens, blockTokens * sizeof(int), new Lazy<ReadOnlyMemory<byte>>(new byte[32]))
        {
            KvSharedUpTo = kvSharedUpTo,
        };

    public ModelInfo Info { get; }

    public ExpertStatistics Experts => new(10, 3, 2, 0.5, 100, 50, 60) { Prefetched = 7, Late = 1, OverFetched = 4, BytesPerSecond = 5e8, LatencySeconds = 0.25, Uses = 13, Foreseen = 12, Horizon = 2.5, LooksAhead = true };

    /// <summary>Runs before each step, on the engine's thread.</summary>
    public Action<IReadOnlyList<SequenceChunk>>? BeforeStep { get; set; }

    /// <summary>Whether each step waits at <see cref="Gate"/>.</summary>
    public bool Held { get; init; }

    /// <summary>Opened by whoever disposes of the engine over this model.</summary>
    public StepGate Gate { get; } = new();

    /// <summary>What every sequence says after its prompt, then the end; null: what the hash says.</summary>
    public IReadOnlyList<int>? Script { get; set; }

    /// <summary>Sequences that exist.</summary>
    public int Live => Volatile.Read(ref _live);

    /// <summary>Most tokens that were stored at once.</summary>
    public long PeakTokens { get; private set; }

    /// <summary>Tokens computed so far.</summary>
    public long Computed { get; private set; }

    /// <summary>What a sequence that runs alone says after a prompt, greedily.</summary>
    public static List<int> Continue(IEnumerable<int> prompt, int count)
    {
        var tokens = prompt.ToList();
        var start = tokens.Count;
        while (tokens.Count < start + count)
        {
            tokens.Add(Next(CollectionsMarshal.AsSpan(tokens)));
            if (tokens[^1] == 0)
                break;
        }

        return tokens[start..];
    }

    public ISequenceKv CreateSequence()
    {
        Interlocked.Increment(ref _live);
        return new Kv(this);
    }

    public IReadOnlyList<float[]> Forward(IReadOnlyList<SequenceChunk> chunks)
    {
        BeforeStep?.Invoke(chunks);
        if (Held)
            Gate.Wait();
        var results = new List<float[]>();
        foreach (var chunk in chunks)
        {
            var kv = (Kv)chunk.Kv;
            Assert.True(chunk.Tokens.Length > 0);
            kv.Prompt = chunk.Prompt;
            var before = kv.Length;
            kv.Append(chunk.Tokens.Span);
            for (var i = chunk.Reading?.First ?? 0; i < chunk.Reading?.First + chunk.Reading?.Count; i++)
                chunk.Reading!.Read(i, Logits(kv.Tokens[..(before + i + 1)]));
            Computed += chunk.Tokens.Length;
            var logits = chunk.Logits == LogitsFor.None ? [] : Logits(kv.Tokens);
            if (logits.Length > 0 && Script is { } script)
                logits[kv.Said() is var said && said < script.Count ? script[said] : 0] = 1000;
            results.Add(logits);
        }

        PeakTokens = Math.Max(PeakTokens, Interlocked.Read(ref _liveBytes));
        return results;
    }

    public void Dispose()
    {
    }

    private static int Next(ReadOnlySpan<int> tokens)
    {
        var logits = Logits(tokens);
        return Array.IndexOf(logits, logits.Max());
    }

    /// <summary>What it says after some tokens.</summary>
    public static float[] Logits(ReadOnlySpan<int> tokens)
    {
        var hash = 14695981039346656037UL;
        foreach (var token in tokens)
            hash = unchecked((hash ^ (uint)token) * 1099511628211UL);
        var random = new Random(unchecked((int)(hash ^ (hash >> 32))));
        var logits = new float[Vocabulary];
        for (var i = 0; i < logits.Length; i++)
            logits[i] = (float)(random.NextDouble() * 8);
        // Ending by chance would make the tests shorter than they mean to be.
        logits[0] = -10;
        return logits;
    }

    private sealed class Kv(ToyModel model) : ISequenceKv
    {
        private readonly List<int> _tokens = [];
        private bool _disposed;
        private int? _prompt;

        public ReadOnlySpan<int> Tokens => CollectionsMarshal.AsSpan(_tokens);

        public int Length => _tokens.Count;

        public int Prompt { get; set; }

        public int SharedLength => Prompt <= model.Info.KvSharedUpTo ? Math.Min(Length, model.Info.KvSharedUpTo) : 0;

        /// <summary>Tokens after the first that logits were asked for.</summary>
        public int Said()
        {
            _prompt ??= Length;
            return Length - _prompt.Value;
        }

        public void Append(ReadOnlySpan<int> more)
        {
            Assert.False(_disposed);
            _tokens.AddRange(more);
            Interlocked.Add(ref model._liveBytes, more.Length);
        }

        public void ExportBlock(int block, Span<byte> destination)
        {
            Assert.False(_disposed);
            for (var i = 0; i < model.Info.BlockTokens; i++)
                BinaryPrimitives.WriteInt32LittleEndian(destination[(i * 4)..], _tokens[(block * model.Info.BlockTokens) + i]);
        }

        public void ImportBlock(ReadOnlySpan<byte> source, ReadOnlySpan<int> tokens)
        {
            Assert.Equal(0, _tokens.Count % model.Info.BlockTokens);
            Assert.True(Length + model.Info.BlockTokens <= model.Info.KvSharedUpTo);
            for (var i = 0; i < model.Info.BlockTokens; i++)
                Append([BinaryPrimitives.ReadInt32LittleEndian(source[(i * 4)..])]);
        }

        public void Truncate(int length)
        {
            Interlocked.Add(ref model._liveBytes, length - _tokens.Count);
            _tokens.RemoveRange(length, _tokens.Count - length);
        }

        public void Dispose()
        {
            Assert.False(_disposed);
            _disposed = true;
            Interlocked.Add(ref model._liveBytes, -_tokens.Count);
            Interlocked.Decrement(ref model._live);
        }
    }
}
