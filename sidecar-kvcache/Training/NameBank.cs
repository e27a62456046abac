using Bogus;

namespace Moebius.KvCache.Training;

/// <summary>
/// Names, streets and towns of many locales, made by Bogus with a fixed seed. Training uses four fifths of the names of
/// its locales; the rest, and every name of the held-out locales, is only for scoring.
/// </summary>
internal sealed class NameBank
{
    public static readonly string[] TrainingLocales =
        ["en", "en_GB", "en_AU", "en_IND", "de", "fr", "es", "it", "nl", "pt_BR", "pl", "ru", "sv", "tr", "cz", "fi", "ja", "zh_CN", "ko"];

    public static readonly string[] HeldOutLocales =
        ["en_ZA", "en_NG", "ro", "hr", "nb_NO", "sk", "id_ID", "lv", "pt_PT", "es_MX", "fr_CA", "de_CH", "nl_BE"];

    private readonly Dictionary<string, LocaleNames> _locales = [];

    /// <param name="seed">Same seed, same names.</param>
    /// <param name="draws">How often each kind of name is drawn for a locale; equal ones count once.</param>
    public NameBank(int seed, int draws = 4000)
    {
        foreach (var locale in TrainingLocales.Concat(HeldOutLocales))
        {
            var faker = new Faker(locale) { Random = new Randomizer(seed) };
            _locales[locale] = new LocaleNames(
                faker,
                Unique(draws, () => faker.Name.FirstName()),
                Unique(draws, () => faker.Name.LastName()),
                Unique(draws, () => faker.Address.City()),
                Unique(draws, () => faker.Address.StreetName()));
        }
    }

    public LocaleNames this[string locale] => _locales[locale];

    /// <summary>Whether a name is kept from training.</summary>
    public static bool IsHeldOut(string name) => name.Aggregate(7u, (hash, character) => (hash ^ char.ToLowerInvariant(character)) * 16777619u) % 5 == 0;

    private static string[] Unique(int draws, Func<string> draw) =>
        [.. Enumerable.Range(0, draws).Select(_ => draw()).Where(name => name.Length > 0).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
}

/// <summary>What one locale has.</summary>
internal sealed record LocaleNames(Faker Faker, string[] FirstNames, string[] LastNames, string[] Cities, string[] Streets);
