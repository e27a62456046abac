namespace Moebius.Inference.Tools;

/// <summary>How a family of models writes calls between other text.</summary>
internal interface ICallSyntax
{
    /// <summary>Texts that a call may begin with.</summary>
    Markers Openers { get; }

    /// <summary>Texts of tokens that belong to calls, which tokenizers may hold to be control tokens without text.</summary>
    IReadOnlyList<string> Tokens { get; }

    /// <summary>
    /// Reads calls behind an opener, and says them. Until the first has begun the feed's mark stays where it was: then
    /// all of it is content if there is none. Afterwards, what the calls do not need stays unread, or is behind a mark.
    /// </summary>
    /// <param name="feed">Stands behind the opener, with a mark there.</param>
    /// <param name="calls">Where calls are said.</param>
    /// <returns>True.</returns>
    Reading<bool> ReadAsync(TextFeed feed, CallWriter calls);
}
