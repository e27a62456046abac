using System.Globalization;
using Bogus;

namespace Moebius.Bench.KvCache.Detection;

/// <summary>A secret in a sentence.</summary>
internal readonly record struct SecretSample(string Kind, string Text);

/// <summary>
/// Secrets of every kind that tier 1 promises, made by Bogus in twelve locales, in sentences. Written apart from the
/// generator that the rules' tests use: other locales, other formats, other sentences.
/// </summary>
internal sealed class SecretSource
{
    public static readonly string[] Locales = ["en_US", "en_CA", "en_IND", "de", "fr", "es_MX", "it", "nl", "pt_BR", "pl", "ru", "tr"];

    private readonly Randomizer _random;
    private readonly Faker _english;
    private readonly Dictionary<string, Faker> _fakers;

    public SecretSource(int seed)
    {
        _random = new Randomizer(seed);
        _english = new Faker("en") { Random = _random };
        _fakers = Locales.ToDictionary(locale => locale, locale => new Faker(locale) { Random = _random });
    }

    /// <summary>Kinds, each with how its secret is made and the sentences it stands in.</summary>
    public IEnumerable<(string Kind, string Secret, string Sentence)> Take(int count)
    {
        for (var number = 0; number < count; number++)
        {
            var locale = Locales[number % Locales.Length];
            var local = _fakers[locale];
            yield return (number / Locales.Length % 21) switch
            {
                0 => ("email", Pick($"{Ascii(_english.Person.FirstName)}.{Ascii(_english.Name.LastName())}@{_english.Internet.DomainName()}", local.Internet.Email(), _english.Internet.ExampleEmail()), Plain()),
                1 => ("phone", local.Phone.PhoneNumber(), Pick("You can phone me: {0}", "Tel. {0}", "My mobile is {0}, call after five.", "WhatsApp {0}")),
                2 => ("phone, E.164", "+" + Pick("1", "44", "49", "33", "34", "39", "31", "55", "48", "7", "90", "52") + Pick("", " ") + _random.ReplaceNumbers("#########"), Plain()),
                3 => ("card", Card(), Plain()),
                4 => ("iban", _english.Finance.Iban(_random.Bool()), Plain()),
                5 => ("ssn", $"{_random.Int(1, 665):000}-{_random.Int(1, 99):00}-{_random.Int(1, 9999):0000}", Pick("SSN {0}", "my social is {0}.", "{0} is her social security number", "({0})")),
                6 => ("nino", Nino(), Plain()),
                7 => ("passport", _random.Replace(Pick("?########", "#########", "??#######", "?#######")), Pick("Passport number: {0}", "my passport is {0}", "passport no {0}, expires in May")),
                8 => ("licence", _random.Replace(Pick("?#######", "?###-####-####", "#########", "?####-#####-#####")), Pick("driver's license: {0}", "Driver licence number {0}", "DL {0}")),
                9 => ("ipv4", _english.Internet.Ip(), Pick("ssh root@{0}", "The server is {0} .", "from {0} to the gateway")),
                10 => ("ipv6", _english.Internet.Ipv6(), Plain()),
                11 => ("mac", _english.Internet.Mac(Pick(":", "-")), Plain()),
                12 => ("address", $"{_random.Int(1, 9999)} {Ascii(_english.Name.LastName())} {Pick("Street", "St.", "Avenue", "Ave", "Road", "Rd", "Lane", "Drive", "Blvd", "Court", "Way", "Place")}", Pick("Meet me at {0}", "{0}, Apt {1}", "The parcel goes to {0}.", "We are at {0} now")),
                13 => ("birth", Birth(), Pick("DOB {0}", "Date of birth: {0}", "she was born {0}", "geboren am {0}", "né le {0}", "nacido el {0}")),
                14 => ("position", string.Create(CultureInfo.InvariantCulture, $"{_random.Double(-89, 89):F5}{Pick(", ", ",", " ")}{_random.Double(-179, 179):F5}"), Pick("GPS {0}", "lat/lon: {0}", "my coordinates are {0}")),
                15 => ("wallet", _random.Bool() ? _english.Finance.BitcoinAddress() : _english.Finance.EthereumAddress(), Plain()),
                16 => ("key", Key(), Pick("{0}", "export TOKEN={0}", "use {0} for the API", "\"key\": \"{0}\"")),
                17 => ("header", Pick("Authorization: Bearer ", "authorization: Basic ") + _random.AlphaNumeric(40), Pick("{0}", "curl -H '{0}' https://api.example.com")),
                18 => ("connection string", Pick("postgres", "mysql", "mongodb", "redis", "amqp") + $"://svc:{_random.AlphaNumeric(12)}@db{_random.Int(1, 9)}.internal:5432/main", Pick("{0}", "DATABASE_URL={0}")),
                19 => ("password", Password(), Pick("password: {0}", "pwd={0}", "My password is {0}", "Passwort: {0}", "contraseña: {0}", "mot de passe : {0}", "hasło: {0}", "пароль: {0}", "PASSWORD = \"{0}\"")),
                _ => ("medical record", _random.Replace(Pick("########", "?#######", "###-##-####", "######")), Pick("MRN {0}", "Medical record number: {0}", "patient ID {0}")),
            };
        }
    }

    public string Fill(string sentence, string secret) => string.Format(CultureInfo.InvariantCulture, sentence, secret, _random.Int(1, 99));

    private string Plain() => Pick("{0}", "Note: {0}", "this one, {0}, is mine", "It's {0}!", "Use {0} please.", "\"{0}\"");

    private T Pick<T>(params T[] choices) => choices[_random.Int(0, choices.Length - 1)];

    private string Card()
    {
        // Digits of an issuer, then the check digit by Luhn.
        var digits = Pick("4", "51", "52", "55", "37", "6011", "35") is var prefix && prefix == "37" ? prefix + _random.ReplaceNumbers("############") : prefix + _random.ReplaceNumbers(new string('#', 15 - prefix.Length));
        var sum = digits.Reverse().Select((digit, index) => index % 2 == 0 ? 2 * (digit - '0') is var twice && twice > 9 ? twice - 9 : twice : digit - '0').Sum();
        var number = digits + (char)('0' + ((10 - (sum % 10)) % 10));
        return Pick(number, string.Join(' ', number.Chunk(4).Select(group => new string(group))), string.Join('-', number.Chunk(4).Select(group => new string(group))));
    }

    private string Nino() => string.Concat(Pick("AB", "CE", "GH", "JK", "LM", "PR", "ST", "WX"), _random.ReplaceNumbers(Pick("######", " ## ## ## ")), Pick("A", "B", "C", "D"));

    private string Birth() => _english.Date.Past(60, new DateTime(2008, 1, 1)).ToString(Pick("yyyy-MM-dd", "dd/MM/yyyy", "MM/dd/yyyy", "d.M.yyyy", "d MMMM yyyy", "MMM d, yyyy", "yyyy/MM/dd"), CultureInfo.InvariantCulture);

    private string Password() => Pick(_random.AlphaNumeric(10) + "!", _english.Internet.Password(12), "Summer" + _random.Int(2000, 2030) + "!", "hunter" + _random.Int(1, 99), _random.String2(4) + "-" + _random.Int(100, 999));

    // Put together here: no key that a scanner of repositories would take for real stands in this file.
    private string Key() => _random.Int(0, 8) switch
    {
        0 => "AK" + "IA" + _random.String2(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
        1 => "gh" + Pick("p", "o", "s") + "_" + _random.AlphaNumeric(36),
        2 => "xo" + Pick("xb", "xp") + "-" + _random.ReplaceNumbers("###########-###########-") + _random.AlphaNumeric(24),
        3 => "sk_" + Pick("live", "test") + "_" + _random.AlphaNumeric(24),
        4 => "AI" + "za" + _random.AlphaNumeric(35),
        5 => "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJ" + _random.AlphaNumeric(60) + "." + _random.AlphaNumeric(86),
        6 => "-----BEGIN " + Pick("RSA ", "EC ", "") + "PRIVATE KEY-----\n" + _random.AlphaNumeric(64) + "\n-----END PRIVATE KEY-----",
        7 => "sk-" + "proj-" + _random.AlphaNumeric(40),
        _ => "glpat-" + _random.AlphaNumeric(20),
    };

    private static string Ascii(string name) => new([.. name.Where(char.IsAsciiLetter)]);
}
