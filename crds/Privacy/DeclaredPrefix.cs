using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace Moebius.KvCache.Policy;

/// <summary>
/// A text that is public by declaration. It is written as the model reads it, after the chat template; special tokens
/// count no bytes in what detection reads, so the text is also tried without the marks that stand for them.
/// </summary>
internal sealed partial class DeclaredPrefix
{
    public DeclaredPrefix(string name, string text)
    {
        Name = name;
        Text = text;
        var raw = Encoding.UTF8.GetBytes(text);
        var plain = Encoding.UTF8.GetBytes(SpecialToken().Replace(text, ""));
        Forms = raw.AsSpan().SequenceEqual(plain) || plain.Length == 0 ? [raw] : [raw, plain];
        Digest = Convert.ToHexStringLower(SHA256.HashData(raw));
    }

    public string Name { get; }

    public string Text { get; }

    /// <summary>UTF-8 texts of which each counts.</summary>
    public IReadOnlyList<byte[]> Forms { get; }

    /// <summary>Identifies the text across reloads.</summary>
    public string Digest { get; }

    [GeneratedRegex(@"<\|[^|<>\r\n]{1,64}\|>|</?s>|<bos>|<eos>|<start_of_turn>|<end_of_turn>", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex SpecialToken();
}
