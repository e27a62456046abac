namespace Moebius.Inference.Tools;

/// <summary>A piece of what a model has written, told apart by what it is for.</summary>
internal abstract record AnswerPart;

/// <summary>Text for the user.</summary>
/// <param name="Text">Not empty.</param>
internal sealed record ContentPart(string Text) : AnswerPart;

/// <summary>Text that the model wrote for itself.</summary>
/// <param name="Text">Not empty.</param>
internal sealed record ReasoningPart(string Text) : AnswerPart;

/// <summary>A call of a tool begins; its arguments and its end follow.</summary>
/// <param name="Name">The tool's name.</param>
internal sealed record CallBegin(string Name) : AnswerPart;

/// <summary>More of the arguments of the call that has begun.</summary>
/// <param name="Text">All pieces together are a JSON object, or the beginning of one where the call is broken off.</param>
internal sealed record CallArguments(string Text) : AnswerPart;

/// <summary>The call ends.</summary>
/// <param name="Whole">Its arguments are a JSON object; otherwise the model did not bring them to an end.</param>
internal sealed record CallEnd(bool Whole) : AnswerPart;

/// <summary>
/// Tells the parts of one answer apart as its text arrives, in time linear in its length. However the text is cut, the
/// parts say the same.
/// </summary>
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
