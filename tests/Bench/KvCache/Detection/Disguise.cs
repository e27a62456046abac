using Bogus;

namespace Moebius.Bench.KvCache.Detection;

/// <summary>What somebody does to a secret who wants it past a filter, and a model to read it all the same.</summary>
internal static class Disguise
{
    public static readonly string[] Names = ["zero-width characters", "full-width characters", "look-alike letters", "characters set apart", "digits in words", "digits of other scripts", "odd spaces and dashes"];

    private static readonly string[][] Words =
    [
        "zero one two three four five six seven eight nine".Split(' '),
        "null eins zwei drei vier fünf sechs sieben acht neun".Split(' '),
        "zéro un deux trois quatre cinq six sept huit neuf".Split(' '),
        "cero uno dos tres cuatro cinco seis siete ocho nueve".Split(' '),
    ];

    /// <summary>The secret in a disguise; null where this one hides nothing of it, or makes another thing of it.</summary>
    public static string? Apply(int disguise, string kind, string secret, Randomizer random) => disguise switch
    {
        0 => string.Concat(secret.Select(character => random.Int(0, 2) == 0 ? $"{character}{random.ArrayElement(["\u200B", "\u200C", "\u2060", "\uFEFF", "\u00AD"])}" : character.ToString())),
        1 => string.Concat(secret.Select(character => character is > ' ' and <= '~' ? (char)(character + 0xFEE0) : character)),
        2 => secret.Any("aeocpxyijsABEKMHOPCTX".Contains) ? string.Concat(secret.Select(LookAlike)) : null,
        3 when kind is "email" or "card" or "iban" or "ssn" or "nino" or "phone, E.164" or "ipv4" or "mac" => string.Join(random.ArrayElement([" ", "-", "_", "."]) is var separator && kind is "email" or "ipv4" or "mac" or "phone, E.164" ? " " : separator, secret.Where(character => character != ' ' && (kind is "email" or "ipv4" or "mac" or "phone, E.164" || character != '-'))),
        4 when kind is "card" or "ssn" or "phone, E.164" => Spell(secret, random.ArrayElement(Words)),
        5 when secret.Any(char.IsAsciiDigit) => string.Concat(secret.Select(character => char.IsAsciiDigit(character) ? (char)(random.ArrayElement(['\u0660', '\u06F0', '\u0966', '\uFF10', '\u0E50']) + character - '0') : character)),
        6 => secret.Contains(' ', StringComparison.Ordinal) || secret.Contains('-', StringComparison.Ordinal) ? secret.Replace(' ', '\u00A0').Replace('-', random.ArrayElement(['\u2010', '\u2011', '\u2013', '\u2212'])) : null,
        _ => null,
    };

    private static char LookAlike(char character) => character switch
    {
        'a' => 'а', 'e' => 'е', 'o' => 'о', 'c' => 'с', 'p' => 'р', 'x' => 'х', 'y' => 'у', 'i' => 'і', 'j' => 'ј', 's' => 'ѕ',
        'A' => 'А', 'B' => 'В', 'E' => 'Е', 'K' => 'К', 'M' => 'М', 'H' => 'Н', 'O' => 'О', 'P' => 'Р', 'C' => 'С', 'T' => 'Т', 'X' => 'Х',
        _ => character,
    };

    private static string Spell(string secret, string[] words) =>
        string.Join(' ', secret.Where(character => char.IsAsciiDigit(character) || character == '+').Select(character => character == '+' ? "plus" : words[character - '0']));
}
