using System.Text;
using Microsoft.ML.Tokenizers;

namespace Moebius.KvCache.Detection.Classifier.Onnx;

/// <summary>WordPiece, as BERT and its relatives use it.</summary>
internal sealed class WordPieces : ISubwords
{
    private readonly BertTokenizer _tokenizer;

    /// <param name="vocabulary">Pieces in the order of their numbers.</param>
    /// <param name="lowerCase">The model knows no capitals.</param>
    public WordPieces(IReadOnlyList<string> vocabulary, bool lowerCase)
    {
        using var lines = new MemoryStream(Encoding.UTF8.GetBytes(string.Join('\n', vocabulary)));
        _tokenizer = BertTokenizer.Create(lines, new BertOptions { LowerCaseBeforeTokenization = lowerCase });
    }

    public int Start => _tokenizer.ClassificationTokenId;

    public int End => _tokenizer.SeparatorTokenId;

    public int Padding => _tokenizer.PaddingTokenId;

    public IReadOnlyList<int> Encode(string word, bool afterSpace) =>
        _tokenizer.EncodeToIds(word, addSpecialTokens: false) is { Count: > 0 } pieces ? pieces : [_tokenizer.UnknownTokenId];
}
