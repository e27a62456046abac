using Moebius.Inference.Constraints;
using Moebius.Inference.Engine;
using Moebius.Inference.Models;
using Moebius.Inference.Text;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Server;

/// <summary>A model that is ready to answer.</summary>
internal sealed record ServedModel(string Name, ICausalModel Model, Tokenizer Tokenizer, ChatTemplate? Template, InferenceEngine Engine, int ContextLength, DateTimeOffset Created)
{
    private readonly Lazy<TokenTrie> trie = new(() => new TokenTrie(Tokenizer, Model.Info.VocabularySize));

    /// <summary>Token ids that clients may name.</summary>
    public int Vocabulary => Model.Info.VocabularySize;

    /// <summary>The vocabulary as constrained outputs need it; made when first asked for.</summary>
    public TokenTrie Trie => trie.Value;
}
