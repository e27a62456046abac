using System.Runtime.CompilerServices;

namespace Moebius.KvCache.Detection;

/// <summary>Kinds of characters that the scanners ask for at every place.</summary>
internal static class Letters
{
    /// <summary>From here on a script writes words without spaces, or one sound or meaning with each character.</summary>
    public const char FirstIdeograph = '\u2E80';

    /// <summary>As <see cref="char.IsLetter(char)"/>, without a look into its tables for the large blocks that are letters throughout.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsLetter(char character) =>
        character is (>= '\u4E00' and <= '\u9FFF') or (>= '\uAC00' and <= '\uD7A3') || char.IsLetter(character);
}
