using System.Globalization;
using Bogus;
using Bogus.Extensions.UnitedKingdom;
using Bogus.Extensions.UnitedStates;

namespace Moebius.KvCache.Tests.Detection;

/// <summary>Secrets of every kind, made up with a fixed seed, in sentences.</summary>
internal static class SecretCorpus
{
    public static readonly string[] Locales = ["en", "en_GB", "de", "fr", "es", "it", "nl", "pt_BR", "pl", "ru", "sv", "tr", "ja", "zh_CN", "ko"];

    private static readonly string[] Plain = ["{0}", "Here it is: {0}", "and {0} is what I have", "It is {0}, thanks"];
    private static readonly string[] Calls = ["Call me at {0} please", "My phone number is {0}.", "you can reach me on {0} after six"];
    private static readonly string[] Homes = ["I live at {0}.", "My address is {0}, please ship it there.", "Please send it to {0} tomorrow"];

    public static IEnumerable<(string Kind, string Template, string Secret)> Generate(int perLocale)
    {
        Randomizer.Seed = new Random(20250812);
        var random = new Randomizer(7);
        foreach (var locale in Locales)
        {
            var local = new Faker(locale);
            var faker = new Faker("en");
            for (var round = 0; round < perLocale; round++)
            {
                yield return ("phone", random.ArrayElement(Calls), local.Phone.PhoneNumber());
                yield return ("address", random.ArrayElement(Homes), local.Address.StreetAddress());
                yield return ("email", random.ArrayElement(Plain), local.Internet.Email());
                yield return ("card", random.ArrayElement(Plain), faker.Finance.CreditCardNumber());
                yield return ("iban", random.ArrayElement(Plain), faker.Finance.Iban(random.Bool()));
                yield return ("wallet", random.ArrayElement(Plain), random.Bool() ? faker.Finance.BitcoinAddress() : faker.Finance.EthereumAddress());
                yield return ("ssn", random.ArrayElement(Plain), new Faker("en").Person.Ssn());
                yield return ("nino", random.ArrayElement(Plain), faker.Finance.Nino());
                yield return ("network", random.ArrayElement(Plain), random.ArrayElement([faker.Internet.Mac(), faker.Internet.Ip(), faker.Internet.Ipv6()]));
                yield return ("position", random.ArrayElement(["I am at {0}", "coordinates: {0}"]), string.Create(CultureInfo.InvariantCulture, $"{faker.Address.Latitude()}, {faker.Address.Longitude()}"));
                yield return ("password", random.ArrayElement(["password: {0}", "my password is {0}", "PASSWORD={0}", "\"password\": \"{0}\""]), faker.Internet.Password(random.Int(8, 16)));
                yield return ("birth", random.ArrayElement(["DOB: {0}", "born on {0}", "My date of birth is {0}", "birthday {0}"]), Date(faker, random));
                yield return ("passport", random.ArrayElement(["passport number {0}", "Passport: {0}"]), random.Replace(random.ArrayElement(["?########", "#########", "??#######"])));
                yield return ("licence", random.ArrayElement(["driver's license {0}", "Driving licence: {0}"]), random.Replace(random.ArrayElement(["?#######", "?####-#####-#####"])));
                yield return ("medical", random.ArrayElement(["MRN: {0}", "medical record number {0}"]), random.Replace(random.ArrayElement(["########", "??######"])));
                yield return ("key", random.ArrayElement(Plain), Key(random));
            }
        }
    }

    /// <summary>The same secret as somebody would write it who knows that rules are reading; null where a disguise makes no sense.</summary>
    public static string? Disguise(string kind, string secret, Randomizer random)
    {
        var spoken = kind is "phone" or "card" or "ssn" or "medical" or "passport" && secret.Count(char.IsAsciiDigit) >= 6;
        return random.Int(0, 5) switch
        {
            0 => string.Join(' ', secret.Where(character => character != ' ')),
            1 => string.Join('\u200b', secret.ToCharArray()),
            2 => string.Concat(secret.Select(character => character switch { 'a' => 'а', 'e' => 'е', 'o' => 'о', 'c' => 'с', 'p' => 'р', 'x' => 'х', 'A' => 'А', 'B' => 'В', 'E' => 'Е', _ => character })),
            3 => string.Concat(secret.Select(character => character is >= '!' and <= '~' ? (char)(character + 0xFEE0) : character)),
            4 when spoken => Spell(secret),
            5 when kind is "card" or "phone" or "ssn" or "nino" => string.Join('-', secret.Where(char.IsAsciiLetterOrDigit)),
            _ => null,
        };
    }

    private static string Spell(string secret)
    {
        string[] words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
        return string.Join(' ', secret.Where(char.IsAsciiLetterOrDigit).Select(character => char.IsAsciiDigit(character) ? words[character - '0'] : character.ToString()));
    }

    private static string Date(Faker faker, Randomizer random)
    {
        var format = random.ArrayElement(["yyyy-MM-dd", "dd/MM/yyyy", "MM/dd/yyyy", "dd.MM.yyyy", "MMMM d, yyyy", "d MMMM yyyy"]);
        return faker.Date.Past(70, new DateTime(2010, 1, 1)).ToString(format, CultureInfo.InvariantCulture);
    }

    // Put together here: no key that a scanner of repositories would take for real stands in this file.
    private static string Key(Randomizer random) => random.Int(0, 7) switch
    {
        0 => "AK" + "IA" + random.String2(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
        1 => "gh" + "p_" + random.AlphaNumeric(36),
        2 => "xo" + "xb-" + random.ReplaceNumbers("############-#############-") + random.AlphaNumeric(24),
        3 => "sk_" + "live_" + random.AlphaNumeric(24),
        4 => "AI" + "za" + random.AlphaNumeric(35),
        5 => "eyJhbGciOiJIUzI1NiJ9." + random.AlphaNumeric(40) + "." + random.AlphaNumeric(43),
        6 => "Bearer " + random.AlphaNumeric(32),
        _ => "postgres://app:" + random.AlphaNumeric(10) + "@db.example.com/orders",
    };
}
