using System.Globalization;
using System.Text;

namespace Moebius.PromptOptimizer.Agents;

/// <summary>A refined prompt in parts, so that each dialect can be written from it without another model call.</summary>
/// <param name="Prompt">The whole description in full sentences.</param>
/// <param name="Subject">Who or what the image shows, in a few words.</param>
/// <param name="Setting">Where and when; may be empty, as may the ones below.</param>
/// <param name="Composition">Framing and viewpoint.</param>
/// <param name="Lighting">Light.</param>
/// <param name="Palette">Colours.</param>
/// <param name="Medium">Medium and technique.</param>
/// <param name="Mood">Mood.</param>
/// <param name="Negative">What the image must not show, each in a few words.</param>
/// <param name="AspectRatio">Width to height, such as <c>3:2</c>.</param>
internal sealed record PromptDraft(
    string Prompt,
    string Subject,
    string Setting,
    string Composition,
    string Lighting,
    string Palette,
    string Medium,
    string Mood,
    IReadOnlyList<string> Negative,
    string AspectRatio)
{
    /// <summary>The same draft with every text on one line and free of control characters and of signs that nobody sees.</summary>
    public PromptDraft Clean() => new(
        OneLine(Prompt), OneLine(Subject), OneLine(Setting), OneLine(Composition), OneLine(Lighting), OneLine(Palette),
        OneLine(Medium), OneLine(Mood),
        [.. Negative.Select(OneLine).Where(item => item.Length > 0).Distinct(StringComparer.OrdinalIgnoreCase)],
        AspectRatio);

    internal const char NonJoiner = '\u200c';
    internal const char Joiner = '\u200d';

    internal static string OneLine(string text)
    {
        var result = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            // Signs that turn the direction of a line, that hide words or that part a command. Those that join letters or
            // parts of an emoji are seen by what they do.
            if (Rune.GetUnicodeCategory(rune) == UnicodeCategory.Format && rune.Value is not (NonJoiner or Joiner))
                continue;
            if (Rune.IsWhiteSpace(rune) || Rune.IsControl(rune))
            {
                if (result.Length > 0 && result[^1] != ' ')
                    result.Append(' ');
            }
            else
            {
                result.Append(rune.ToString());
            }
        }

        return result.ToString().TrimEnd();
    }
}
