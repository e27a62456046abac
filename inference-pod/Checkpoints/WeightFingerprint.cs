using System.IO.Hashing;

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

    private string Compute()
    {
        var hash = new XxHash128();
        var sample = new byte[Sample];
        foreach (var file in checkpoint.Files)
        {
            hash.Append(file.Header);
            foreach (var entry in file.Entries)
            {
                var part = sample.AsSpan(0, (int)Math.Min(sample.Length, entry.Length));
                file.Read(entry, 0, part);
                hash.Append(part);
            }
        }
        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }
}
