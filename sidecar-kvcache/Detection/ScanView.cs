using System.Buffers;
using System.Runtime.CompilerServices;
using System.Text;

namespace Moebius.KvCache.Detection;

/// <summary>A folded text with the way back to the characters it came from.</summary>
internal sealed class ScanView
{
    // For each folded character the first one that it came from, and where the last one ends. Null: it is the same one.
    private readonly int[]? _starts;
    private readonly int[]? _ends;

    /// <summary>Control characters that are no tab and no line break: whoever shows the text shows nothing or a space.</summary>
    private static readonly SearchValues<char> Controls = SearchValues.Create([.. Enumerable.Range(0, 32).Select(static code => (char)code).Except(['\t', '\n', '\r']), '\u007F']);

    /// <param name="text">Folded characters; may be longer.</param>
    /// <param name="starts">For each the index of the original one it begins with; null: its own.</param>
    /// <param name="ends">For each the index behind the original one it ends with; null: behind its own.</param>
    /// <param name="length">How many folded characters there are.</param>
    public ScanView(char[] text, int[]? starts, int[]? ends, int length)
    {
        Text = Written = text;
        (_starts, _ends) = (starts, ends);
        Length = length;
    }

    /// <summary>Folded characters; the array may be longer than <see cref="Length"/>.</summary>
    public char[] Text { get; }

    public int Length { get; }

    /// <summary>The text before letters that stand for digits were taken for digits; the same array when there were none.</summary>
    public char[] Written { get; init; }

    /// <summary>A disguise was taken off: nobody writes a number like that without a reason.</summary>
    public bool IsRewritten { get; init; }

    /// <summary>Where the original characters begin that a folded one stands for.</summary>
    public int StartOf(int position) => _starts is null ? position : _starts[position];

    /// <summary>Where the original characters end that a folded one stands for.</summary>
    public int EndOf(int position) => _ends is null ? position + 1 : _ends[position];

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static ScanView Fold(string text)
    {
        if (Ascii.IsValid(text))
            return FoldAscii(text);
        var folded = GC.AllocateUninitializedArray<char>(text.Length);
        var origin = GC.AllocateUninitializedArray<int>(text.Length);
        var ends = GC.AllocateUninitializedArray<int>(text.Length);
        var length = 0;
        for (var index = 0; index < text.Length; index++)
        {
            var character = text[index];
            var plain = character;
            if (character >= 128)
            {
                if (char.IsHighSurrogate(character) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1]))
                {
                    var start = index++;
                    var codePoint = char.ConvertToUtf32(character, text[index]);
                    if (Folding.IsInvisible(codePoint))
                        continue;
                    var ascii = Folding.FoldAstral(codePoint);
                    (origin[length], ends[length]) = (start, index + 1);
                    folded[length++] = ascii == '\0' ? '\uFFFD' : ascii;
                    continue;
                }

                plain = Folding.Fold(character);
                if (plain == Folding.Dropped)
                    continue;
            }
            else if (Controls.Contains(character))
            {
                plain = ' ';
            }

            (origin[length], ends[length]) = (index, index + 1);
            folded[length++] = plain;
        }

        var written = DigitLetters.Restore(folded, length);
        return new ScanView(folded, origin, ends, length) { Written = written };
    }

    /// <summary>Plain text stands for itself.</summary>
    private static ScanView FoldAscii(string text)
    {
        var folded = text.ToCharArray();
        folded.AsSpan().ReplaceAny(Controls, ' ');
        var written = DigitLetters.Restore(folded, text.Length);
        return new ScanView(folded, null, null, text.Length) { Written = written };
    }
}
