namespace Moebius.KvCache.Detection.Classifier.Onnx;

/// <summary>Cuts words into the pieces that a model knows.</summary>
internal interface ISubwords
{
    /// <summary>Goes before the pieces of a text.</summary>
    int Start { get; }

    /// <summary>Goes behind them.</summary>
    int End { get; }

    /// <summary>Fills up shorter texts of a batch.</summary>
    int Padding { get; }

    /// <summary>The pieces of one word; never empty.</summary>
    /// <param name="word">Letters and digits, or one sign.</param>
    /// <param name="afterSpace">Whether a space, or nothing, stands before it.</param>
    IReadOnlyList<int> Encode(string word, bool afterSpace);
}
