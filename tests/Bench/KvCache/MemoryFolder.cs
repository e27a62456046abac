namespace Moebius.Bench.KvCache;

/// <summary>A new folder in memory, as the volume of a pod that holds the arena; elsewhere an arena's pages would be written to a disk.</summary>
internal static class MemoryFolder
{
    /// <summary>The caller deletes it.</summary>
    public static DirectoryInfo Create() =>
        Directory.CreateDirectory(Path.Combine(Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath(), "moebius-bench-" + Path.GetRandomFileName()));
}
