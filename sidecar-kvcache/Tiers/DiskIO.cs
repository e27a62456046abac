using Microsoft.Win32.SafeHandles;
using Moebius.Crds.Host;

namespace Moebius.KvCache.Tiers;

/// <summary>What segments have the system change on the disk. Tests put a disk that fails or hangs in its place.</summary>
internal class DiskIO
{
    /// <summary>The system's own.</summary>
    public static DiskIO System { get; } = new();

    /// <exception cref="IOException">Some or all of the bytes were not written.</exception>
    public virtual void Write(SafeFileHandle file, string path, ReadOnlySpan<byte> bytes, long offset) => RandomAccess.Write(file, bytes, offset);

    /// <summary>Waits until what was written to a file is on the disk itself.</summary>
    /// <exception cref="IOException">It is not, and need not come there any more: it must be written again.</exception>
    public virtual void Flush(SafeFileHandle file, string path) => DirectFile.Flush(file, path);

    /// <summary>Removes a file; one that is not there is no error.</summary>
    public virtual void Delete(string path) => File.Delete(path);

    /// <summary>Waits until files that were removed from a folder are gone from the disk itself.</summary>
    public virtual void FlushFolder(string path) => DurableFile.SyncDirectory(path);
}
