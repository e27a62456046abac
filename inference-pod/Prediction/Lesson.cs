namespace Moebius.Inference.Prediction;

/// <summary>A prediction, and the truth once it is known.</summary>
/// <param name="mostRows">Rows that are learned from.</param>
/// <param name="topK">Experts of a token.</param>
internal sealed class Lesson(int mostRows, int topK)
{
    private readonly (int Row, int Token)[] _rows = new (int, int)[mostRows];
    private readonly int[] _chosen = new int[mostRows * topK];

    // As many rows as were needed so far: one token is predicted from one.
    private float[] _inputs = [];

    /// <summary>What predicted.</summary>
    public LinearGate Model { get; private set; } = null!;

    public TokenMemory Memory { get; private set; } = null!;

    /// <summary>The step whose routing is the truth.</summary>
    public long Due { get; private set; }

    /// <summary>Tokens of that step.</summary>
    public int Tokens { get; private set; }

    /// <summary>Rows to learn from.</summary>
    public int Count { get; private set; }

    public int Token(int index) => _rows[index].Token;

    public ReadOnlySpan<float> Inputs(int index) => _inputs.AsSpan(index * Model.Inputs, Model.Inputs);

    /// <summary>The truth, after <see cref="End"/>.</summary>
    public ReadOnlySpan<int> Chosen(int index) => _chosen.AsSpan(index * topK, topK);

    /// <summary>Begins another prediction in place of the one before.</summary>
    public void Begin(LinearGate model, TokenMemory memory, long due, int tokens) => (Model, Memory, Due, Tokens, Count) = (model, memory, due, tokens, 0);

    /// <summary>Room for a row's inputs; kept only if it is learned from.</summary>
    public Span<float> Row(int row, int token, bool learned)
    {
        if (_inputs.Length < (Count + 1) * Model.Inputs)
            Array.Resize(ref _inputs, (Count + 1) * Model.Inputs);
        var inputs = _inputs.AsSpan(Count * Model.Inputs, Model.Inputs);
        if (learned)
            _rows[Count++] = (row, token);
        return inputs;
    }

    /// <summary>Takes in what the router chose, [tokens, top-k].</summary>
    public void End(ReadOnlySpan<int> chosen)
    {
        for (var i = 0; i < Count; i++)
            chosen.Slice(_rows[i].Row * topK, topK).CopyTo(_chosen.AsSpan(i * topK));
    }
}
