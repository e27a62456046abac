using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.KvCache.Index;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>A tier in a folder of its own, and blocks whose bytes follow from their names.</summary>
internal sealed class SsdHarness : IDisposable
{
    public static readonly MasterSecret Master = new(SHA256.HashData("master"u8));
    public static readonly PublicReason Declared = new(Convert.ToHexStringLower(SHA256.HashData("declared"u8)));

    private readonly long _bytes;
    private readonly TimeProvider _time;
    private readonly DiskIO? _disk;

    public SsdHarness(long bytes = 1 << 20, string? folder = null, TimeProvider? time = null, DiskIO? disk = null)
    {
        _bytes = bytes;
        _disk = disk;
        _time = time ?? TimeProvider.System;
        Folder = folder ?? Directory.CreateTempSubdirectory("kvssd-").FullName;
        Tier = Open();
    }

    public string Folder { get; }

    public SsdTier Tier { get; private set; }

    public static TenantKey Owner(string tenant) => Tenants.Derive(System.Text.Encoding.UTF8.GetBytes(tenant), anonymous: false);

    private static readonly TenantKeys Tenants = new(Master.TenantSalt);

    public static TierBlock Block(string name, string? tenant = null, int depth = 0) => new(
        BlockId.Read(SHA256.HashData(Encoding.UTF8.GetBytes($"{tenant}/{name}"))),
        BlockId.Read(SHA256.HashData("model"u8)),
        tenant is null ? default : Owner(tenant),
        tenant is null ? Declared : null,
        depth);

    public static byte[] Body(in TierBlock block, int length = 1000)
    {
        var body = new byte[length];
        new Random((int)block.Id.A).NextBytes(body);
        return body;
    }

    public SsdTier Open(ulong? keyCheck = null) => SsdTier.Open(Folder, _bytes, keyCheck ?? Master.Check, _time, NullLogger.Instance, _disk);

    public bool Write(in TierBlock block, string? tenant = null, int length = 1000, long quota = long.MaxValue) =>
        Tier.TryWrite(block, Body(block, length), tenant is null ? null : Master.Tenant(tenant), quota);

    /// <summary>True: found with the right bytes; false: not found. Wrong bytes fail the test.</summary>
    public bool Reads(in TierBlock block, string? tenant = null, int length = 1000)
    {
        if (!Tier.TryFind(block.Id, out var entry))
            return false;
        using var buffer = new AlignedBuffer();
        var target = new byte[length];
        if (!Tier.TryRead(entry, tenant is null ? null : Master.Tenant(tenant), buffer, target))
            return false;
        Assert.Equal(Body(block, length), target);
        return true;
    }

    /// <summary>As after kill -9: the files are as they are, a new process opens them.</summary>
    public void Restart()
    {
        var killed = Tier;
        // It may be closed already; otherwise what it does at its end must not help.
        Tier = Open();
        killed.Dispose();
    }

    /// <summary>Waits until what was dropped is erased from the disk itself.</summary>
    public static void Erase(Dropped dropped)
    {
        Assert.True(dropped.Erased.Wait(Eventually.Limit));
        Assert.Null(dropped.Erased.Result);
    }

    public void Dispose()
    {
        Tier.Dispose();
        Directory.Delete(Folder, recursive: true);
    }
}
