using System.Text;
using Moebius.KvCache.Detection.Classifier.BuiltIn;

namespace Moebius.KvCache.Training;

/// <summary>
/// Expands a template: <c>(one|the other)</c> is a choice, <c>{slot}</c> is filled, <c>[[...]]</c> is a personal
/// statement. Names and addresses carry their labels by themselves.
/// </summary>
internal sealed class Template(string source)
{
    /// <summary>The templates of a file in the Corpus folder, without comments.</summary>
    public static Template[] Read(string file) =>
        [.. File.ReadLines(Path.Combine(Repository.Corpus, file)).Where(line => line.Length > 0 && line[0] != '#').Select(line => new Template(line))];

    /// <summary>The locale of the template's language when it is not English: names go with it.</summary>
    public string? Language { get; } = LanguageOf(source);

    public LabelledText Expand(Slots slots, Random random)
    {
        var text = new StringBuilder();
        var labels = new List<Label>();
        Expand(source, slots, random, text, labels);
        return new LabelledText(text.ToString(), labels);
    }

    private static void Expand(string part, Slots slots, Random random, StringBuilder text, List<Label> labels)
    {
        for (var index = 0; index < part.Length; index++)
        {
            switch (part[index])
            {
                case '(':
                {
                    var end = Closing(part, index);
                    var choices = Split(part[(index + 1)..end]);
                    Expand(choices[random.Next(choices.Count)], slots, random, text, labels);
                    index = end;
                    break;
                }

                case '{' when part.IndexOf('}', index) is var end and > 0 && Slots.Has(part[(index + 1)..end]):
                {
                    var start = text.Length;
                    var name = part[(index + 1)..end];
                    text.Append(slots.Fill(name));
                    if (Slots.ClassOf(name) is var wordClass and not WordClass.None)
                        labels.Add(new Label(wordClass, start, text.Length));
                    index = end;
                    break;
                }

                case '[' when index + 1 < part.Length && part[index + 1] == '[':
                {
                    var end = part.IndexOf("]]", index, StringComparison.Ordinal);
                    var start = text.Length;
                    Expand(part[(index + 2)..end], slots, random, text, labels);
                    labels.RemoveAll(label => label.Start >= start);
                    labels.Add(new Label(WordClass.Statement, start, text.Length));
                    index = end + 1;
                    break;
                }

                default:
                    text.Append(part[index]);
                    break;
            }
        }
    }

    private static string? LanguageOf(string source)
    {
        if (source.Any(character => character is >= '\uAC00' and <= '\uD7AF'))
            return "ko";
        if (source.Any(character => character is >= '\u3040' and <= '\u30FF'))
            return "ja";
        if (source.Any(character => character is >= '\u4E00' and <= '\u9FFF'))
            return "zh_CN";
        return source.Any(character => character is >= '\u0400' and <= '\u04FF') ? "ru" : null;
    }

    private static int Closing(string part, int open)
    {
        var depth = 0;
        for (var index = open; index < part.Length; index++)
        {
            depth += part[index] == '(' ? 1 : part[index] == ')' ? -1 : 0;
            if (depth == 0)
                return index;
        }

        throw new FormatException($"no closing parenthesis: {part}");
    }

    private static List<string> Split(string part)
    {
        var (choices, depth, start) = (new List<string>(), 0, 0);
        for (var index = 0; index <= part.Length; index++)
        {
            if (index == part.Length || (part[index] == '|' && depth == 0))
            {
                choices.Add(part[start..index]);
                start = index + 1;
            }
            else
            {
                depth += part[index] == '(' ? 1 : part[index] == ')' ? -1 : 0;
            }
        }

        return choices;
    }
}
