using Microsoft.Win32.SafeHandles;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>What is asked of a disk.</summary>
internal enum DiskCall
{
    Write,
    Flush,
    Delete,
    FlushFolder,
}

/// <summary>Called before a disk does what it is asked; throws or waits.</summary>
internal delegate void DiskAsked(DiskCall call, string path, ReadOnlySpan<byte> bytes);

/// <summary>A disk that fails or hangs when it is told to.</summary>
internal sealed class FaultyDisk : DiskIO
{
    private volatile DiskAsked _before = static (_, _, _) => { };

    public DiskAsked Before
    {
        set => _before = value;
    }

    /// <summary>Fails where it is told to.</summary>
    public Func<DiskCall, string, bool> Fails
    {
        set => Before = (call, path, _) =>
        {
            if (value(call, path))
                throw new IOException($"{path}: Input/output error");
        };
    }

    /// <summary>Fails in nothing any more.</summary>
    public void Heal() => Before = static (_, _, _) => { };

    public override void Write(SafeFileHandle file, string path, ReadOnlySpan<byte> bytes, long offset)
    {
        _before(DiskCall.Write, path, bytes);
        base.Write(file, path, bytes, offset);
    }

    public override void Flush(SafeFileHandle file, string path)
    {
        _before(DiskCall.Flush, path, []);
        base.Flush(file, path);
    }

    public override void Delete(string path)
    {
        _before(DiskCall.Delete, path, []);
        base.Delete(path);
    }

    public override void FlushFolder(string path)
    {
        _before(DiskCall.FlushFolder, path, []);
        base.FlushFolder(path);
    }
}
