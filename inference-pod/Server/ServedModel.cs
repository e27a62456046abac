using System.Collections.Frozen;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Constraints;
using Moebius.Inference.Engine;
using Moebius.Inference.Models;
using Moebius.Inference.Text;
using Moebius.Inference.Text.Tokenization;
using Moebius.Inference.Tools;

namespace Moebius.Inference.Server;

/// <summary>A model that is ready to answer.</summary>
internal sealed record ServedModel(string Name, ICausalModel Model, Tokenizer Tokenizer, ChatTemplate? Template, InferenceEngine Engine, int ContextLength, DateTimeOffset Created)
{
    private TokenTrie? _trie;

    /// <summary>The format of calls, decided.</summary>
    public ToolCallParser ToolCallParser { get; init; }

    /// <summary>The format of reasoning, decided.</summary>
    public ReasoningParser ReasoningParser { get; init; }

    /// <summary>The special tokens that the readers have to see.</summary>
    /// <param name="withTools">The model may call tools.</param>
    public IReadOnlySet<int> Markers(bool withTools) => AnswerFormat.Tokens(ToolCallParser, ReasoningParser, withTools)
        .Select(marker => Tokenizer.SpecialIds.TryGetValue(marker, out var id) && !Model.Info.EndOfSequence.Contains(id) ? id : -1).Where(id => id >= 0).ToFrozenSet();

    /// <summary>Token ids that clients may name.</summary>
    public int Vocabulary => Model.Info.VocabularySize;

    /// <summary>The vocabulary as constrained outputs need it; made when first asked for.</summary>
    public TokenTrie Trie => LazyInitializer.EnsureInitialized(ref _trie, () => new TokenTrie(Tokenizer, Model.Info.VocabularySize, Markers(false)));
}
