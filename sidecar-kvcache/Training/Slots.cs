using System.Globalization;
using Moebius.KvCache.Detection.Classifier.BuiltIn;

namespace Moebius.KvCache.Training;

/// <summary>Fills the slots of templates. Deterministic: one source of chance, one order of calls.</summary>
internal sealed class Slots
{
    private static readonly Dictionary<string, WordClass> Known = new(StringComparer.Ordinal)
    {
        ["person"] = WordClass.Name, ["lowerperson"] = WordClass.Name, ["upperperson"] = WordClass.Name, ["lastfirst"] = WordClass.Name,
        ["first"] = WordClass.Name, ["last"] = WordClass.Name, ["address"] = WordClass.Address,
        ["surname"] = 0, ["given"] = 0, ["city"] = 0, ["company"] = 0, ["money"] = 0, ["number"] = 0, ["age"] = 0, ["year"] = 0, ["month"] = 0, ["date"] = 0, ["topic"] = 0,
        ["place"] = 0, ["figure"] = 0, ["language"] = 0, ["condition"] = 0, ["conditionde"] = 0, ["conditionfr"] = 0, ["conditiones"] = 0, ["drug"] = 0,
        ["crime"] = 0, ["product"] = 0, ["phrase"] = 0, ["review"] = 0, ["lorem"] = 0, ["code"] = 0, ["config"] = 0, ["log"] = 0, ["list"] = 0,
    };

    private readonly NameBank _bank;
    private readonly string[] _locales;
    private readonly bool _heldOut;
    private readonly Random _random;

    /// <param name="bank">Names.</param>
    /// <param name="heldOut">Names and places that training never sees; otherwise only those that it may see.</param>
    /// <param name="random">Chance.</param>
    public Slots(NameBank bank, bool heldOut, Random random)
    {
        (_bank, _heldOut, _random) = (bank, heldOut, random);
        // Held-out names come from other locales, and from the fifth of the training locales' names that is kept back.
        _locales = heldOut ? [.. NameBank.HeldOutLocales, "en", "de", "fr", "es", "it", "pl"] : NameBank.TrainingLocales;
    }

    /// <summary>The locale that names come from next.</summary>
    public string Locale { get; private set; } = "en";

    public static bool Has(string slot) => Known.ContainsKey(slot);

    public static WordClass ClassOf(string slot) => Known[slot];

    /// <summary>Chooses a locale for the next passage; null: at random, English half of the time.</summary>
    public void Choose(string? locale) =>
        Locale = locale ?? (_random.Next(2) == 0 ? _heldOut ? "en_ZA" : Pick(["en", "en_GB"]) : Pick(_locales));

    public string Fill(string slot) => slot switch
    {
        "person" => Person(),
        "lowerperson" => $"{First()} {Last()}".ToLowerInvariant(),
        "upperperson" => $"{First()} {Last()}".ToUpperInvariant(),
        "lastfirst" => $"{Last()}, {First()}",
        "first" or "given" => First(),
        "last" or "surname" => Last(),
        "address" => Address(),
        "city" => Name(_bank[Locale].Cities),
        "company" => _bank["en"].Faker.Company.CompanyName() is var company && company.Contains(',', StringComparison.Ordinal) ? Pick(Lists.Companies) : Pick([company, Pick(Lists.Companies)]),
        "money" => Pick(["$", "€", "£"]) + Text(_random.Next(1, 300)) + Pick([",000", "00", "k", "", ".50"]),
        "number" => Text(_random.Next(2, 5000)),
        "age" => Text(_random.Next(3, 95)),
        "year" => Text(_random.Next(1700, 2026)),
        "month" => Pick(Lists.Months),
        "date" => $"{Pick(Lists.Months)} {Text(_random.Next(1, 29))}",
        "product" => _bank["en"].Faker.Commerce.ProductDescription(),
        "phrase" => Pick([_bank["en"].Faker.Hacker.Phrase(), _bank["en"].Faker.Company.CatchPhrase(), _bank["en"].Faker.Company.Bs()]),
        "review" => _bank["en"].Faker.Rant.Review(),
        "lorem" => _bank[Pick(["en", "de", "fr", "ru", "pl"])].Faker.Lorem.Sentence(),
        "code" => Code.Line(_random),
        "config" => Code.Setting(_random),
        "log" => Code.Log(_random),
        "list" => $"- {Pick(Lists.Topics)}",
        _ => Pick(Lists.Of(slot, _heldOut)),
    };

    private string Person()
    {
        var (first, last) = (First(), Last());
        if (Locale is "zh_CN" or "ja" or "ko")
            return last + (Locale == "ja" && _random.Next(2) == 0 ? " " : "") + first;
        return _random.Next(20) switch
        {
            0 => $"{first} {(char)('A' + _random.Next(26))}. {last}",
            1 => $"{Pick(["Mr.", "Mrs.", "Ms.", "Dr.", "Prof."])} {first} {last}",
            2 => $"{first} {first[0]}. {last}",
            3 => $"{first} {last}-{Last()}",
            4 => $"{first} {First()} {last}",
            5 => $"{first} {Pick(["van der", "de", "von", "da", "di", "O'", "Mc", "bin"])} {last}",
            6 => $"{first[0]}. {last}",
            _ => $"{first} {last}",
        };
    }

    private string Address()
    {
        var names = _bank[Locale];
        var street = _random.Next(2) == 0 ? names.Faker.Address.StreetAddress() : $"{names.Faker.Address.BuildingNumber()} {Name(names.Streets)}";
        var city = Name(names.Cities);
        var zip = names.Faker.Address.ZipCode();
        return _random.Next(6) switch
        {
            0 => $"{street}, {city}",
            1 => $"{street}, {zip} {city}",
            2 => $"{street}, {city}, {names.Faker.Address.State()} {zip}",
            3 => $"{street}, {names.Faker.Address.SecondaryAddress()}, {city}",
            _ => street,
        };
    }

    private string First() => Name(_bank[Locale].FirstNames);

    private string Last() => Name(_bank[Locale].LastNames);

    /// <summary>One that is, or is not, kept from training; locales without any of them give what they have.</summary>
    private string Name(string[] names)
    {
        for (var attempt = 0; attempt < 50; attempt++)
        {
            var name = Pick(names);
            if (Array.IndexOf(NameBank.HeldOutLocales, Locale) >= 0 || NameBank.IsHeldOut(name) == _heldOut)
                return name;
        }

        return Pick(names);
    }

    private string Pick(string[] choices) => choices[_random.Next(choices.Length)];

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
