namespace Moebius.Inference.Tools;

/// <summary>A piece of what a model has written, told apart by what it is for.</summary>
internal abstract record AnswerPart;

/// <summary>Text for the user.</summary>
/// <param name="Text">Not empty.</param>
internal sealed record ContentPart(string Text) : AnswerPart;

/// <summary>Text that the model wrote for itself.</summary>
/// <param name="Text">Not empty.</param>
internal sealed record ReasoningPart(string Text) : AnswerPart;

/// <summary>A complete call of a tool.</summary>
/// <param name="Name">The tool's name.</param>
/// <param name="Arguments">A JSON object, as text.</param>
internal sealed record CallPart(string Name, string Arguments) : AnswerPart;

/// <summary>Tells the parts of one answer apart as its text arrives: however the text is cut, the parts say the same.</summary>
internal interface IAnswerReader
{
    /// <summary>Takes more text.</summary>
    /// <returns>What is certain by now.</returns>
    IReadOnlyList<AnswerPart> Append(string text);

    /// <summary>The answer has ended.</summary>
    /// <returns>What was held back.</returns>
    IReadOnlyList<AnswerPart> Finish();
}

/// <summary>All text is content.</summary>
internal sealed class PlainReader : IAnswerReader
{
    public IReadOnlyList<AnswerPart> Append(string text) => text.Length == 0 ? [] : [new ContentPart(text)];

    public IReadOnlyList<AnswerPart> Finish() => [];
}
