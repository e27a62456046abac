namespace Moebius.KvCache.Detection.Classifier.Onnx;

/// <summary>
/// SentencePiece's unigram model (Kudo, 2018) over single words: the cut whose pieces are most probable, found by
/// dynamic programming. DeBERTa-v3 and XLM-RoBERTa use it.
/// </summary>
internal sealed class UnigramPieces : ISubwords
{
    private const char Space = '\u2581';
    private const double UnknownPenalty = 10;

    private readonly Dictionary<string, (int Id, double Score)> _pieces = new(StringComparer.Ordinal);
    private readonly int _unknown;
    private readonly int _longest;
    private readonly double _unknownScore;

    /// <param name="vocabulary">Pieces with their log probabilities, in the order of their numbers.</param>
    /// <param name="unknown">Number of the piece for what no other covers.</param>
    public UnigramPieces(IReadOnlyList<(string Piece, double Score)> vocabulary, int unknown, int start, int end, int padding)
    {
        for (var id = 0; id < vocabulary.Count; id++)
            _pieces.TryAdd(vocabulary[id].Piece, (id, vocabulary[id].Score));
        (_unknown, Start, End, Padding) = (unknown, start, end, padding);
        _longest = vocabulary.Max(piece => piece.Piece.Length);
        _unknownScore = vocabulary.Min(piece => piece.Score) - UnknownPenalty;
    }

    public int Start { get; }

    public int End { get; }

    public int Padding { get; }

    public IReadOnlyList<int> Encode(string word, bool afterSpace)
    {
        var text = afterSpace ? Space + word : word;
        var best = new double[text.Length + 1];
        var from = new int[text.Length + 1];
        Array.Fill(best, double.NegativeInfinity, 1, text.Length);
        for (var end = 1; end <= text.Length; end++)
        {
            for (var start = Math.Max(0, end - _longest); start < end; start++)
            {
                var score = best[start] + (_pieces.TryGetValue(text[start..end], out var piece) ? piece.Score : end - start == 1 ? _unknownScore : double.NegativeInfinity);
                if (score > best[end])
                    (best[end], from[end]) = (score, start);
            }
        }

        var pieces = new List<int>();
        for (var end = text.Length; end > 0; end = from[end])
            pieces.Add(_pieces.TryGetValue(text[from[end]..end], out var piece) ? piece.Id : _unknown);
        pieces.Reverse();
        return pieces;
    }
}
