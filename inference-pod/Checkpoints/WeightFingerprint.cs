using System.IO.Hashing;
using System.Security.Cryptography;

namespace Moebius.Inference.Checkpoints;

/// <summary>
/// Tells checkpoints apart by their headers and the beginning of every tensor. Two that agree on these but differ further inside a
/// tensor are not told apart, so that nothing is gained from a hash that withstands attacks: to load OpenSSL for one costs a server
/// 6 MiB.
/// </summary>
/// <param name="checkpoint">The weights.</param>
internal sealed class WeightFingerprint(Checkpoint checkpoint)
{
    /// <summary>Bytes of each tensor that stand for it.</summary>
    private const int Sample = 4096;

    private string? _text;

    /// <summary>XxHash128 in hexadecimal.</summary>
    public string Text => _text ??= Compute();

    /// <summary>Whether a fingerprint that was written down is of these weights; packs of earlier versions have a SHA-256.</summary>
    public bool Matches(string text) => text == (text.Length == 2 * SHA256.HashSizeInBytes ? Earlier() : Text);

    private string Compute()
    {
        var hash = new XxHash128();
        Read(hash.Append);
        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }

    private string Earlier()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Read(hash.AppendData);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private void Read(Action<ReadOnlySpan<byte>> append)
    {
        var sample = new byte[Sample];
        foreach (var file in checkpoint.Files)
        {
            append(file.Header);
            foreach (var entry in file.Entries)
            {
                var part = sample.AsSpan(0, (int)Math.Min(sample.Length, entry.Length));
                file.Read(entry, 0, part);
                append(part);
            }
        }
    }
}
