using System.Text;
using System.Text.RegularExpressions;

namespace Moebius.Inference.Text.Tokenization;

/// <summary>Changes text before it is split.</summary>
internal interface ITextNormalizer
{
    string Normalize(string text);
}

/// <summary>One after the other.</summary>
internal sealed class SequenceNormalizer(IReadOnlyList<ITextNormalizer> steps) : ITextNormalizer
{
    public string Normalize(string text) => steps.Aggregate(text, (current, step) => step.Normalize(current));
}

/// <summary>A Unicode normalization form.</summary>
internal sealed class UnicodeNormalizer(NormalizationForm form) : ITextNormalizer
{
    public string Normalize(string text) => UnicodeNormalization.Normalize(text, form);
}

/// <summary>Removes combining marks; behind a decomposition, those of all accented letters.</summary>
internal sealed class StripAccentsNormalizer : ITextNormalizer
{
    public string Normalize(string text) => UnicodeNormalization.StripMarks(text);
}

/// <summary>Removes control characters and makes one kind of space of others, as a translation model's tokenizer did that gave it its name.</summary>
internal sealed class NmtNormalizer : ITextNormalizer
{
    public string Normalize(string text) => string.Concat(text.Select(character => character switch
    {
        >= '\u0001' and <= '\u0008' or '\u000B' or >= '\u000E' and <= '\u001F' or '\u007F' or '\u008F' or '\u009F' => "",
        '\t' or '\n' or '\f' or '\r' or '\u1680' or >= '\u200B' and <= '\u200F' or '\u2028' or '\u2029' or '\u2581' or '\uFEFF' or '\uFFFD' => " ",
        _ => character.ToString(),
    }));
}

/// <summary>Puts a text in front of what is not empty.</summary>
internal sealed class PrependNormalizer(string prefix) : ITextNormalizer
{
    public string Normalize(string text) => text.Length == 0 ? text : prefix + text;
}

/// <summary>Replaces the matches of a pattern.</summary>
internal sealed class ReplaceNormalizer(Regex pattern, string replacement) : ITextNormalizer
{
    // The replacement is literal: an evaluator keeps '$' from being read as a group.
    public string Normalize(string text) => pattern.Replace(text, _ => replacement);
}

/// <summary>Removes white space at the ends.</summary>
internal sealed class StripNormalizer(bool left, bool right) : ITextNormalizer
{
    public string Normalize(string text) => (left, right) switch
    {
        (true, true) => text.Trim(),
        (true, false) => text.TrimStart(),
        (false, true) => text.TrimEnd(),
        _ => text,
    };
}

/// <summary>Lower case, by the invariant culture; the one letter that becomes two in Unicode's full mapping does so here too.</summary>
internal sealed class LowercaseNormalizer : ITextNormalizer
{
#pragma warning disable CA1308 // Lower case is what the format asks for.
    public string Normalize(string text) => text.Replace("\u0130", "i\u0307", StringComparison.Ordinal).ToLowerInvariant();
#pragma warning restore CA1308
}
