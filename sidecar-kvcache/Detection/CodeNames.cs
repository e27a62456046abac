namespace Moebius.KvCache.Detection;

/// <summary>What source code and its lock files call things: letters and digits that look chosen by a machine and are no secret. Pure.</summary>
internal static class CodeNames
{
    private static readonly string[] DigestPrefixes = ["sha1-", "sha224-", "sha256-", "sha384-", "sha512-"];

    /// <summary>A digest that says so: sha512-z4PhNX7v.</summary>
    public static bool IsDigest(ReadOnlySpan<char> token)
    {
        if (token.Length < 7 || token[0] != 's')
            return false;
        foreach (var prefix in DigestPrefixes)
        {
            if (token.StartsWith(prefix))
                return true;
        }

        return false;
    }

    /// <summary>
    /// V1PodDisruptionBudget, ASN1_F_PKCS5_PBE2_SET, int32ToIpv4: mostly whole words with few digits, or parts that are
    /// words and numbers each.
    /// </summary>
    public static bool IsIdentifier(ReadOnlySpan<char> token, int digits, int dashes, int upper)
    {
        var (run, inWords, segments, worst, type) = (0, 0, 0, 0, 0);
        foreach (var character in token)
        {
            if (character is '_' or '-')
            {
                (worst, segments, type, run) = (Math.Max(worst, segments), 0, 0, 0);
                continue;
            }

            run = char.IsAsciiLetterLower(character) ? run + 1 : 0;
            inWords += run == 2 ? 3 : run > 2 ? 1 : 0;
            var next = char.IsAsciiDigit(character) ? 1 : char.IsAsciiLetterUpper(character) ? 2 : 3;
            segments += next != type && !(type == 2 && next == 3) ? 1 : 0;
            type = next;
        }

        worst = Math.Max(worst, segments);
        if (digits <= 4 && upper > 0 && inWords * 10 >= (token.Length - dashes) * (digits <= 3 ? 6 : 7))
            return true;
        return dashes >= 1 && worst <= 3 && (dashes >= 2 || digits <= 4) && token.Length <= 12 * (dashes + 1) && digits * 3 <= token.Length;
    }
}
