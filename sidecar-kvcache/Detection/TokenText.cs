using System.Runtime.CompilerServices;
using System.Text;

namespace Moebius.KvCache.Detection;

/// <summary>
/// The text of a prompt with an exact way back from characters to tokens. Bytes that are not UTF-8 become U+FFFD; where
/// special tokens stand (they have no bytes) a line break keeps what is before from running into what is after.
/// </summary>
internal sealed class TokenText
{
    private readonly int[] _byteOfCharacter;
    private readonly int[] _endOfToken;

    private TokenText(string text, int[] byteOfCharacter, int[] endOfToken)
    {
        Text = text;
        _byteOfCharacter = byteOfCharacter;
        _endOfToken = endOfToken;
    }

    public string Text { get; }

    /// <summary>Builds the text from a byte offset on.</summary>
    /// <param name="utf8">The bytes of all tokens.</param>
    /// <param name="tokenBytes">How many bytes are each token's own; they add up to the length of <paramref name="utf8"/>.</param>
    /// <param name="fromByte">Where to start reading; moved back to the start of a character.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static TokenText Create(ReadOnlySpan<byte> utf8, IReadOnlyList<uint> tokenBytes, int fromByte)
    {
        while (fromByte > 0 && fromByte < utf8.Length && (utf8[fromByte] & 0xC0) == 0x80)
            fromByte--;

        var ends = new int[tokenBytes.Count];
        var breaks = new List<int>();
        var end = 0;
        for (var token = 0; token < ends.Length; token++)
        {
            end += (int)tokenBytes[token];
            ends[token] = end;
            if (tokenBytes[token] == 0 && end >= fromByte && (breaks.Count == 0 || breaks[^1] != end))
                breaks.Add(end);
        }

        var text = new StringBuilder(utf8.Length - fromByte);
        var offsets = new List<int>(utf8.Length - fromByte);
        var nextBreak = 0;
        for (var position = fromByte; position < utf8.Length;)
        {
            // A special token inside a character cannot be: the break goes in front of the character it would cut.
            Rune.DecodeFromUtf8(utf8[position..], out var rune, out var consumed);
            if (nextBreak < breaks.Count && breaks[nextBreak] < position + consumed)
            {
                text.Append('\n');
                offsets.Add(position);
                while (nextBreak < breaks.Count && breaks[nextBreak] < position + consumed)
                    nextBreak++;
            }

            for (var unit = 0; unit < rune.Utf16SequenceLength; unit++)
                offsets.Add(position);
            text.Append(rune.ToString());
            position += consumed;
        }

        return new TokenText(text.ToString(), [.. offsets], ends);
    }

    /// <summary>The token that the character at this position belongs to.</summary>
    public int TokenAt(int character)
    {
        var offset = _byteOfCharacter[character];
        // The first token that ends behind the byte: tokens without bytes of their own never qualify.
        var (low, high) = (0, _endOfToken.Length);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (_endOfToken[middle] > offset)
                high = middle;
            else
                low = middle + 1;
        }

        return Math.Min(low, _endOfToken.Length - 1);
    }

    /// <summary>The first character that starts at this byte or after it.</summary>
    public int CharacterAt(int offset)
    {
        var found = Array.BinarySearch(_byteOfCharacter, offset);
        if (found < 0)
            return ~found;
        while (found > 0 && _byteOfCharacter[found - 1] == offset)
            found--;
        return found;
    }

    /// <summary>Where the character at this position starts in the bytes.</summary>
    public int ByteAt(int character) => character < _byteOfCharacter.Length ? _byteOfCharacter[character] : _endOfToken.Length == 0 ? 0 : _endOfToken[^1];
}
