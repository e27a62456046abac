using System.Text;
using System.Text.RegularExpressions;
using Moebius.Crds.Text;

namespace Moebius.Inference.Text.Tokenization;

/// <summary>Changes text before it is split.</summary>
internal interface ITextNormalizer
{
    /// <summary>
    /// The changed text. It is at the start of the input still, where its first character stands for the first of the input:
    /// not behind characters that were removed, nor, as the reference library counts, for the last of several that were replaced.
    /// </summary>
    Piece Normalize(Piece piece);
}

/// <summary>One after the other.</summary>
internal sealed class SequenceNormalizer(IReadOnlyList<ITextNormalizer> steps) : ITextNormalizer
{
    public Piece Normalize(Piece piece) => steps.Aggregate(piece, (current, step) => step.Normalize(current));
}

/// <summary>A Unicode normalization form.</summary>
internal sealed class UnicodeNormalizer(NormalizationForm form) : ITextNormalizer
{
    public Piece Normalize(Piece piece) => piece with { Text = UnicodeNormalization.Normalize(piece.Text, form) };
}

/// <summary>Removes combining marks; behind a decomposition, those of all accented letters.</summary>
internal sealed class StripAccentsNormalizer : ITextNormalizer
{
    public Piece Normalize(Piece piece) => UnicodeNormalization.StripMarks(piece.Text) is var text && text.Length == piece.Text.Length
        ? piece
        : new Piece(text, piece.AtStart && text.Length > 0 && text[0] == piece.Text[0]);
}

/// <summary>Removes control characters and makes one kind of space of others, as a translation model's tokenizer did that gave it its name.</summary>
internal sealed class NmtNormalizer : ITextNormalizer
{
    public Piece Normalize(Piece piece) => new(string.Concat(piece.Text.Select(Changed)), piece.AtStart && piece.Text.Length > 0 && Changed(piece.Text[0]).Length > 0);

    private static string Changed(char character) => character switch
    {
        >= '\u0001' and <= '\u0008' or '\u000B' or >= '\u000E' and <= '\u001F' or '\u007F' or '\u008F' or '\u009F' => "",
        '\t' or '\n' or '\f' or '\r' or '\u1680' or >= '\u200B' and <= '\u200F' or '\u2028' or '\u2029' or '\u2581' or '\uFEFF' or '\uFFFD' => " ",
        _ => character.ToString(),
    };
}

/// <summary>Puts a text in front of what is not empty.</summary>
internal sealed class PrependNormalizer(string prefix) : ITextNormalizer
{
    public Piece Normalize(Piece piece) => piece.Text.Length == 0 ? piece : piece with { Text = prefix + piece.Text };
}

/// <summary>Replaces the matches of a pattern.</summary>
internal sealed class ReplaceNormalizer(Regex pattern, string replacement) : ITextNormalizer
{
    public Piece Normalize(Piece piece)
    {
        var atStart = piece.AtStart;
        // The replacement is literal: an evaluator keeps '$' from being read as a group.
        var text = pattern.Replace(piece.Text, match =>
        {
            atStart &= match.Index > 0 || match.Length == 0 || (replacement.Length > 0 && match.Length == (char.IsHighSurrogate(match.ValueSpan[0]) ? 2 : 1));
            return replacement;
        });
        return new Piece(text, atStart);
    }
}

/// <summary>Removes white space at the ends.</summary>
internal sealed class StripNormalizer(bool left, bool right) : ITextNormalizer
{
    public Piece Normalize(Piece piece)
    {
        var rest = left ? piece.Text.TrimStart() : piece.Text;
        return new Piece(right ? rest.TrimEnd() : rest, piece.AtStart && rest.Length == piece.Text.Length);
    }
}

/// <summary>Lower case, by the invariant culture; the one letter that becomes two in Unicode's full mapping does so here too.</summary>
internal sealed class LowercaseNormalizer : ITextNormalizer
{
#pragma warning disable CA1308 // Lower case is what the format asks for.
    public Piece Normalize(Piece piece) => piece with { Text = piece.Text.Replace("\u0130", "i\u0307", StringComparison.Ordinal).ToLowerInvariant() };
#pragma warning restore CA1308
}
