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

/// <summary>Unicode normalization form C.</summary>
internal sealed class CompositionNormalizer : ITextNormalizer
{
    public string Normalize(string text) => UnicodeComposition.Compose(text);
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
