using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace Moebius.Crds.Privacy;

/// <summary>
/// A text that is public by declaration. It is written as the model reads it, after the chat template; special tokens
/// count no bytes in what detection reads, so the text is also tried without the marks that stand for them.
/// </summary>
/// <remarks>The cache and the engine both ask what a declaration covers: here, so that they cannot answer differently.</remarks>
public sealed partial class DeclaredPrefix
{
    /// <param name="name">For logs.</param>
    /// <param name="text">The text.</param>
    public DeclaredPrefix(string name, string text)
    {
        Name = name;
        Text = text;
        var raw = Encoding.UTF8.GetBytes(text);
        var plain = Encoding.UTF8.GetBytes(SpecialToken().Replace(text, ""));
        Forms = raw.AsSpan().SequenceEqual(plain) || plain.Length == 0 ? [raw] : [raw, plain];
        Digest = Convert.ToHexStringLower(SHA256.HashData(raw));
    }

    /// <summary>For logs.</summary>
    public string Name { get; }

    /// <summary>As it was declared.</summary>
    public string Text { get; }

    /// <summary>UTF-8 texts of which each counts.</summary>
    public IReadOnlyList<byte[]> Forms { get; }

    /// <summary>Identifies the text across reloads.</summary>
    public string Digest { get; }

    /// <summary>The longest declared text that starts a prompt as a whole, or null.</summary>
    /// <param name="prefixes">What is declared.</param>
    /// <param name="text">The prompt's UTF-8, special tokens left out.</param>
    /// <param name="length">Bytes of the prompt that it covers.</param>
    public static DeclaredPrefix? Longest(IReadOnlyList<DeclaredPrefix> prefixes, ReadOnlySpan<byte> text, out int length)
    {
        ArgumentNullException.ThrowIfNull(prefixes);
        DeclaredPrefix? longest = null;
        length = 0;
        foreach (var prefix in prefixes)
        {
            foreach (var form in prefix.Forms)
            {
                if (form.Length > length && text.StartsWith(form))
                    (longest, length) = (prefix, form.Length);
            }
        }

        return longest;
    }

    /// <summary>Leading tokens that lie in the first bytes of a prompt, each as a whole.</summary>
    /// <param name="tokenBytes">How many bytes are each token's own.</param>
    /// <param name="bytes">How many bytes.</param>
    public static int Tokens(IReadOnlyList<uint> tokenBytes, int bytes)
    {
        ArgumentNullException.ThrowIfNull(tokenBytes);
        long start = 0;
        var token = 0;
        // A special token right behind the text is not part of it, hence the first comparison.
        for (; token < tokenBytes.Count && start < bytes && start + tokenBytes[token] <= bytes; token++)
            start += tokenBytes[token];
        return token;
    }

    [GeneratedRegex(@"<\|[^|<>\r\n]{1,64}\|>|</?s>|<bos>|<eos>|<start_of_turn>|<end_of_turn>", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex SpecialToken();
}
