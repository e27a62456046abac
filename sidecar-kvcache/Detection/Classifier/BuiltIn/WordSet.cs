namespace Moebius.KvCache.Detection.Classifier.BuiltIn;

/// <summary>
/// A set of words as hashed bits (Bloom, 1970): no word can be read back from it, and one in about a hundred others
/// seems to be in it.
/// </summary>
internal sealed class WordSet
{
    private const int BitsPerWord = 10;
    private const int Probes = 5;

    private readonly byte[] _bits;

    public WordSet(IReadOnlyCollection<string> words)
    {
        _bits = new byte[Math.Max(64, (words.Count * BitsPerWord) + 7) / 8];
        foreach (var word in words)
        {
            for (var (probe, hash) = (0, FeatureHash.Of(word)); probe < Probes; probe++, hash = FeatureHash.Next(hash))
                _bits[Index(hash) >> 3] |= (byte)(1 << (Index(hash) & 7));
        }
    }

    public WordSet(BinaryReader reader) => _bits = reader.ReadBytes(reader.ReadInt32());

    public void Save(BinaryWriter writer)
    {
        writer.Write(_bits.Length);
        writer.Write(_bits);
    }

    /// <summary>Whether the word, in lower case, is in the set.</summary>
    public bool Contains(string word)
    {
        for (var (probe, hash) = (0, FeatureHash.Of(word)); probe < Probes; probe++, hash = FeatureHash.Next(hash))
        {
            if ((_bits[Index(hash) >> 3] & (1 << (Index(hash) & 7))) == 0)
                return false;
        }

        return true;
    }

    private int Index(ulong hash) => (int)Math.BigMul(hash, (ulong)_bits.Length * 8, out _);
}

/// <summary>64-bit hashes that are the same in every process (FNV-1a and a final mix).</summary>
internal static class FeatureHash
{
    public static ulong Of(string word)
    {
        var hash = 14695981039346656037UL;
        foreach (var character in word)
            hash = (hash ^ character) * 1099511628211UL;
        return Next(hash);
    }

    public static ulong Combine(ulong left, ulong right) => Next((left * 31) ^ right);

    public static ulong Next(ulong hash)
    {
        hash ^= hash >> 32;
        hash *= 0xD6E8FEB86659FD93;
        return hash ^ (hash >> 29);
    }
}
