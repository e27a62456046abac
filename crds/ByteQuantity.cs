using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Moebius.Crds;

/// <summary>
/// A Kubernetes quantity in the fields that an inference server reads. The Kubernetes client's own type means the same, but loading that
/// library for it would take 5 MiB of a server's memory.
/// </summary>
[JsonConverter(typeof(Converter))]
public sealed class ByteQuantity
{
    private const string Decimal = "numkMGTPE", Binary = "KMGTPE";

    private readonly string _text;

    /// <summary>Parses a quantity.</summary>
    /// <param name="text">For example 512Mi, 1.5G, 1e6 or 1048576.</param>
    /// <exception cref="FormatException">It is not a quantity.</exception>
    public ByteQuantity(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        _text = text;
        Value = Parse(text) ?? throw new FormatException($"'{text}' is not a quantity");
    }

    /// <summary>The number; where it is beyond 7.9e28 either way, that.</summary>
    public decimal Value { get; }

    /// <inheritdoc/>
    public override string ToString() => _text;

    private static decimal? Parse(string text)
    {
        var digits = text.Length;
        while (digits > 0 && !char.IsAsciiDigit(text[digits - 1]) && text[digits - 1] != '.')
            digits--;
        var suffix = text[digits..];
        // 1e6 ends with a digit: the exponent is part of the number.
        if (!decimal.TryParse(text.AsSpan(0, digits), NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out var number))
            return null;
        if (suffix.Length > 0 && text.AsSpan(0, digits).IndexOfAny('e', 'E') >= 0)
            return null;
        decimal? unit = suffix switch
        {
            "" => 1,
            [var c, 'i'] when Binary.IndexOf(c, StringComparison.Ordinal) is var power and >= 0 => (decimal)(1L << (10 * (power + 1))),
            [var c] when Decimal.IndexOf(c, StringComparison.Ordinal) is var power and >= 0 => power < 3 ? 1 / Thousand(3 - power) : Thousand(power - 2),
            _ => null,
        };
        try
        {
            return number * unit;
        }
        catch (OverflowException)
        {
            return number < 0 ? decimal.MinValue : decimal.MaxValue;
        }
    }

    private static decimal Thousand(int power)
    {
        decimal value = 1;
        for (var i = 0; i < power; i++)
            value *= 1000;
        return value;
    }

    private sealed class Converter : JsonConverter<ByteQuantity>
    {
        public override ByteQuantity Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options)
        {
            var text = reader.TokenType switch
            {
                JsonTokenType.String => reader.GetString()!,
                JsonTokenType.Number => JsonElement.ParseValue(ref reader).GetRawText(),
                _ => throw new JsonException("could not be converted to a quantity"),
            };
            try
            {
                return new ByteQuantity(text);
            }
            catch (FormatException error)
            {
                throw new JsonException($"{error.Message}: write bytes such as 1048576, or with a unit such as 512Mi or 2Gi", error);
            }
        }

        public override void Write(Utf8JsonWriter writer, ByteQuantity value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
    }
}
