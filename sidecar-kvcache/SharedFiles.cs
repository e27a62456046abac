namespace Moebius.KvCache;

/// <summary>Files that the engine opens too; it may run as another user of the pod's group.</summary>
internal static class SharedFiles
{
    /// <summary>Owner and group may read and write.</summary>
    public const UnixFileMode Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;
}
