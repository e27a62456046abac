namespace Moebius.Inference.Text.Tokenization;

/// <summary>
/// The reversible alphabet of byte-level BPE (GPT-2): every byte is one printable character, so that a vocabulary of
/// strings can hold arbitrary bytes.
/// </summary>
internal static class ByteAlphabet
{
    private static readonly char[] Characters = new char[256];
    private static readonly Dictionary<char, byte> Bytes = new(256);

    static ByteAlphabet()
    {
        var next = 256;
        for (var value = 0; value < 256; value++)
        {
            var printable = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            Characters[value] = printable ? (char)value : (char)next++;
            Bytes[Characters[value]] = (byte)value;
        }
    }

    /// <summary>The character that stands for a byte.</summary>
    public static char Of(byte value) => Characters[value];

    /// <summary>The bytes a token stands for, or null when it has a character outside the alphabet.</summary>
    public static byte[]? Decode(string token)
    {
        var bytes = new byte[token.Length];
        for (var i = 0; i < token.Length; i++)
        {
            if (!Bytes.TryGetValue(token[i], out bytes[i]))
                return null;
        }

        return bytes;
    }
}
