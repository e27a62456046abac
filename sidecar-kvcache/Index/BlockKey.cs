namespace Moebius.KvCache.Index;

/// <summary>
/// 128 bits that stand for all tokens from position 0 through the end of a block: equal keys mean equal prefixes. Keys
/// are made under a secret that is random per tree and dies with the process (<see cref="BlockHasher"/>), so nobody can
/// look for two texts with one key, and no text is kept in memory.
/// </summary>
internal readonly record struct BlockKey(ulong High, ulong Low);
