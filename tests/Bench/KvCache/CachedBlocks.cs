extern alias sidecar;

using Moebius.Inference.KvClient;

namespace Moebius.Bench.KvCache;

/// <summary>Sets of blocks in a sidecar's arena, and what an engine does to get one: look it up, and use the blocks where they lie.</summary>
internal sealed class CachedBlocks : IDisposable
{
    private readonly List<(LookupBench.Client Client, HotDriver.Client Hot)> _sets = [];
    private readonly ArenaFile _arena;
    private readonly int _blocks;
    private readonly int _blockBytes;

    private CachedBlocks(List<(LookupBench.Client, HotDriver.Client)> sets, int blocks, int blockBytes)
    {
        (_sets, _blocks, _blockBytes) = (sets, blocks, blockBytes);
        _arena = OpenArena();
        _arena.TryHold();
        _arena.Populate(CancellationToken.None);
    }

    public static async Task<CachedBlocks> CreateAsync(string socket, int sets, int blockTokens, int blocks, int blockBytes)
    {
        var cached = new List<(LookupBench.Client, HotDriver.Client)>();
        for (var set = 0; set < sets; set++)
        {
            var client = await LookupBench.Client.ConnectAsync(
                socket, [.. Enumerable.Range(0, blocks * blockTokens).Select(token => (uint)((set * 100_000) + token))], (ulong)blockBytes, $"tenant-{set}");
            await client.CacheAsync(blocks);
            cached.Add((client, new HotDriver.Client(client.Attached.HotSocketPath, client.Request)));
        }

        return new CachedBlocks(cached, blocks, blockBytes);
    }

    /// <summary>The arena, mapped anew.</summary>
    public ArenaFile OpenArena()
    {
        var attached = _sets[0].Client.Attached;
        return new ArenaFile(attached.ArenaPath, (long)attached.ArenaBytes, (long)attached.SlotBytes, attached.SlotCount);
    }

    /// <summary>Looks a set up; the lease of the lookup before it on this connection ends with it.</summary>
    public ReadOnlySpan<int> Lookup(int set)
    {
        var hot = _sets[set].Hot;
        hot.Send();
        while (hot.TryReceive(_blocks) is null)
        {
        }

        return hot.Slots.AsSpan(0, _blocks);
    }

    public void Copy(int set, Span<byte> target) => Copy(_arena, set, target);

    /// <summary>Looks a set up and copies its blocks out of a mapping.</summary>
    public void Copy(ArenaFile arena, int set, Span<byte> target)
    {
        var slots = Lookup(set);
        for (var block = 0; block < slots.Length; block++)
            arena.Slot((uint)slots[block], _blockBytes).CopyTo(target[(block * _blockBytes)..]);
    }

    /// <summary>Looks a set up and reads every byte of its blocks.</summary>
    public ulong Read(int set)
    {
        var sum = 0UL;
        foreach (var slot in Lookup(set))
            sum += GetBench.Sum(_arena.Slot((uint)slot, _blockBytes));
        return sum;
    }

    public void Dispose()
    {
        _arena.EndHold();
        _arena.Dispose();
        foreach (var (client, hot) in _sets)
        {
            hot.Socket.Dispose();
            client.Dispose();
        }
    }
}
