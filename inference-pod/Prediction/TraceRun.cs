using System.Text;
using Moebius.Crds;
using Moebius.Inference.Engine;
using Moebius.Inference.Models;
using Moebius.Inference.Text.Tokenization;
using Decoder = Moebius.Inference.Models.Decoder;

namespace Moebius.Inference.Prediction;

/// <summary>Runs a model over a text, or lets it go on from a prompt, and records its routing.</summary>
internal static class TraceRun
{
    /// <summary>Tokens of a step while a text is read: routing does not depend on it.</summary>
    private const int ChunkTokens = 256;

    /// <summary>Tokens after which a text begins a new sequence.</summary>
    public const int WindowTokens = 1024;

    /// <summary>Tokens, and bytes of pre-gates, of a trace that is one of several, so that the memory for them does not grow with their number.</summary>
    private const int PieceTokens = 32_768, PieceBytes = 512 << 20;

    /// <summary>Tokens of a trace from a prompt where nobody says how many.</summary>
    private const int DefaultTokens = 256;

    /// <summary>Records the routing of a text, up to a number of tokens.</summary>
    public static RoutingTrace OfText(string directory, string text, int maxTokens, int? horizon, ModelLoadOptions options)
    {
        var tokens = Tokens(directory, text);
        if (tokens.Count == 0)
            throw new UserInputException("the text has no tokens; there is nothing to trace");
        RequireRoom(directory, Math.Min(tokens.Count, maxTokens), horizon);
        return Record(directory, horizon, options, model =>
            Read(model, tokens.Take(maxTokens).Chunk(Math.Min(WindowTokens, model.Info.ContextLength))));
    }

    /// <summary>A text, up to a number of tokens, as sequences.</summary>
    public static IReadOnlyList<int[]> Sequences(string directory, string text, int maxTokens) =>
        [.. Tokens(directory, text).Take(maxTokens).Chunk(Math.Min(WindowTokens, Architectures.Describe(ModelConfig.Read(directory)).Context))];

    /// <summary>Tokens whose pre-gates fit into so many bytes.</summary>
    internal static int TokensIn(long bytes, int layers, int experts, int horizon) => (int)Math.Min(int.MaxValue, bytes / ((long)layers * (horizon + 1) * experts));

    /// <summary>Records the routing of sequences, each read from its beginning, in several traces one after the other.</summary>
    /// <param name="directory">The model.</param>
    /// <param name="sequences">Token ids, of each at most <see cref="WindowTokens"/> and the model's context.</param>
    /// <param name="options">How to load the model.</param>
    /// <param name="most">Tokens of one trace, unless they take too much memory.</param>
    public static IEnumerable<RoutingTrace> OfSequences(string directory, IReadOnlyList<int[]> sequences, ModelLoadOptions options, int most = PieceTokens)
    {
        var (layers, experts) = Shape(directory);
        most = Math.Clamp(TokensIn(PieceBytes, layers, experts, DefaultHorizon(layers)), 1, most);
        // Of one size, so that the last is none of a few tokens.
        var tokens = sequences.Sum(static sequence => sequence.Length);
        var each = (int)Math.Ceiling(tokens / Math.Ceiling((double)tokens / most));
        for (var at = 0; at < sequences.Count;)
        {
            var piece = new List<int[]>();
            for (var size = 0; at < sequences.Count && size < each; size += sequences[at++].Length)
                piece.Add(sequences[at]);
            yield return Record(directory, null, options, model => Read(model, piece));
        }
    }

    private static void Read(ICausalModel model, IEnumerable<int[]> sequences)
    {
        using var kv = model.CreateSequence();
        foreach (var tokens in sequences)
        {
            kv.Truncate(0);
            foreach (var chunk in tokens.Chunk(ChunkTokens))
                model.Forward([new SequenceChunk(kv, chunk, LogitsFor.None) { Prompt = tokens.Length }]);
        }
    }

    /// <summary>Records the routing of a prompt and of the greedy answer to it, up to so many tokens together or the end of the text.</summary>
    public static RoutingTrace OfPrompt(string directory, string prompt, int? maxTokens, int? horizon, ModelLoadOptions options)
    {
        var tokens = Tokenizer.Load(directory).Encode(prompt, true, Vocabulary(directory), "--prompt");
        RequireRoom(directory, maxTokens ?? DefaultTokens, horizon);
        return Record(directory, horizon, options, model =>
        {
            if (tokens.Count == 0 || tokens.Count > model.Info.ContextLength)
                throw new UserInputException($"--prompt has {tokens.Count} tokens; it must have from 1 to {model.Info.ContextLength}, the model's context");
            var most = maxTokens ?? Math.Min(DefaultTokens, model.Info.ContextLength);
            if (tokens.Count > most)
                throw new UserInputException($"--prompt has {tokens.Count} tokens; --max-tokens, which counts them, is {most}{(maxTokens is null ? " where it is not given" : "")}: raise it, or shorten the prompt");
            if (most > model.Info.ContextLength)
                throw new UserInputException($"--max-tokens is {most}; with --prompt it must be at most {model.Info.ContextLength}, the model's context");
            using var kv = model.CreateSequence();
            var step = tokens.ToArray();
            while (true)
            {
                var logits = model.Forward([new SequenceChunk(kv, step, LogitsFor.Last)])[0];
                var next = Math.Max(0, TokenRanking.Largest(logits));
                if (kv.Length >= most || kv.Length == model.Info.ContextLength || model.Info.EndOfSequence.Contains(next))
                    return;
                step = [next];
            }
        });
    }

    /// <exception cref="UserInputException">The file cannot be read as UTF-8.</exception>
    public static string ReadText(string file)
    {
        try
        {
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(File.ReadAllBytes(file));
        }
        catch (DecoderFallbackException error)
        {
            throw new UserInputException($"--text: {file} is not UTF-8 at byte {error.Index}", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new UserInputException($"--text: {file} cannot be read ({error.Message})", error);
        }
    }

    private static int Vocabulary(string directory) => Architectures.Describe(ModelConfig.Read(directory)).Vocabulary;

    private static List<int> Tokens(string directory, string text) => Tokenizer.Load(directory).Encode(text, false, Vocabulary(directory), "--text");

    /// <summary>Refused before the long work rather than at its end.</summary>
    private static void RequireRoom(string directory, int tokens, int? horizon)
    {
        var (layers, experts) = Shape(directory);
        var ahead = horizon ?? DefaultHorizon(layers);
        var most = TokensIn(Array.MaxLength, layers, experts, Math.Clamp(ahead, 0, layers));
        if (tokens > most)
            throw new UserInputException($"{tokens} tokens with pre-gates {ahead} layers ahead do not fit into one trace of this model: give --max-tokens {most} or less, or a smaller --horizon");
    }

    private static int DefaultHorizon(int layers) => Math.Min(8, layers);

    /// <summary>MoE layers, and experts of one.</summary>
    private static (int Layers, int Experts) Shape(string directory)
    {
        var parts = Architectures.Describe(ModelConfig.Read(directory)).FeedForward.OfType<MoeSpec>().ToList();
        return parts.Count > 0
            ? (parts.Count, parts[0].Router.Experts)
            : throw new UserInputException($"{directory}: the model has no MoE layers; there is no routing to trace");
    }

    private static RoutingTrace Record(string directory, int? horizon, ModelLoadOptions options, Action<ICausalModel> run)
    {
        var layers = Shape(directory).Layers;
        if (horizon is { } asked && (asked < 0 || asked > layers))
            throw new UserInputException($"--horizon is {asked}; it must be from 0 to {layers}, the model's MoE layers");
        var recorder = new TraceRecorder(horizon ?? DefaultHorizon(layers));
        using var model = (Decoder)ModelLoader.Load(directory, options with { Prefetch = recorder });
        run(model);
        return recorder.Finish(model.Info.Architecture, model.Info.VocabularySize, model.ExpertBytes, model.DenseBytes);
    }
}
