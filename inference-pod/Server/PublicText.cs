using System.Runtime.InteropServices;
using Moebius.Crds.Privacy;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Server;

/// <summary>
/// How much of a prompt every tenant may share while it is being computed: what the policy declares public, in mode
/// <c>Share</c> all, in mode <c>Isolate</c> nothing. What a classifier would clear is not known yet at that time.
/// </summary>
internal sealed class PublicText
{
    private readonly SharingMode _mode;
    private readonly List<DeclaredPrefix> _prefixes;
    private readonly int _longest;

    /// <param name="policy">The policy; null: none, and nothing is public.</param>
    public PublicText(KVPrivacyPolicySpec? policy)
    {
        _mode = policy?.Mode ?? SharingMode.SafeKV;
        _prefixes = [.. (policy?.PublicPrefixes ?? []).Where(static prefix => prefix.Text is { Length: > 0 }).Select(static prefix => new DeclaredPrefix(prefix.Name, prefix.Text!))];
        _longest = _prefixes.SelectMany(static prefix => prefix.Forms).Select(static form => form.Length).DefaultIfEmpty().Max();
    }

    /// <summary>Leading tokens of a prompt that are public.</summary>
    public int Tokens(ReadOnlySpan<int> prompt, Tokenizer tokenizer)
    {
        if (_mode != SharingMode.SafeKV || _longest == 0)
            return _mode == SharingMode.Share ? prompt.Length : 0;
        var text = new List<byte>(_longest);
        var lengths = new List<uint>();
        foreach (var token in prompt)
        {
            // A special token has no bytes: those behind the longest text are not looked at.
            if (text.Count >= _longest)
                break;
            var bytes = tokenizer.TextBytes(token);
            text.AddRange(bytes);
            lengths.Add((uint)bytes.Length);
        }

        DeclaredPrefix.Longest(_prefixes, CollectionsMarshal.AsSpan(text), out var declared);
        return DeclaredPrefix.Tokens(lengths, declared);
    }
}
