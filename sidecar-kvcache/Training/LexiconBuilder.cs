using Moebius.KvCache.Detection.Classifier.BuiltIn;

namespace Moebius.KvCache.Training;

/// <summary>Collects what the model knows of single words, from the training texts and the names that training may see.</summary>
internal static class LexiconBuilder
{
    private const int LeastOccurrences = 3;

    public static Lexicon Build(IReadOnlyList<LabelledText> texts, NameBank bank)
    {
        var (first, last) = (Book(names => names.FirstNames), Book(names => names.LastNames));
        // A name is no common word, however often it stands in the training texts; what is written small is.
        var counts = new Dictionary<string, (int All, int Small)>(StringComparer.Ordinal);
        foreach (var text in texts)
        {
            foreach (var word in Words.Of(text.Text))
            {
                if (word.IsSign || char.IsDigit(word.Text[0]) || text.Labels.Any(label => label.Class != WordClass.Statement && word.Start < label.End && word.End > label.Start))
                    continue;
                var (all, small) = counts.GetValueOrDefault(word.Lower);
                counts[word.Lower] = (all + 1, small + (word.Text == word.Lower ? 1 : 0));
            }
        }

        return new Lexicon(
            new WordSet([.. counts.Where(word => word.Value.Small > 0 || (word.Value.All >= LeastOccurrences && !first.Contains(word.Key) && !last.Contains(word.Key)))
                .Select(word => word.Key).Order(StringComparer.Ordinal)]),
            first,
            last,
            Book(names => [.. names.Cities, .. names.Streets]));

        WordSet Book(Func<LocaleNames, string[]> of) => new([.. NameBank.TrainingLocales
            .SelectMany(locale => of(bank[locale]))
            .Where(name => !NameBank.IsHeldOut(name))
            .SelectMany(Words.Of)
            .Where(word => !word.IsSign && !char.IsDigit(word.Text[0]))
            .Select(word => word.Lower)
            .Distinct(StringComparer.Ordinal)
            .Order(StringComparer.Ordinal)]);
    }
}
