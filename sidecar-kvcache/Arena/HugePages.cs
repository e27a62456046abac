using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Moebius.Crds.Host;

namespace Moebius.KvCache.Arena;

/// <summary>
/// Puts the pages of a file on a memory file system together into huge ones of 2 MiB, whatever the mount's own setting:
/// a block of 256 KiB needs 64 translations of addresses otherwise. What can not be put together stays as it is, and
/// nothing else changes: the memory is the same, on this process's account as before.
/// </summary>
internal static partial class HugePages
{
    private const int Collapse = 25;
    private const int TryAgain = 11;

    /// <summary>Works through the leading <paramref name="length"/> bytes; the file may be in use meanwhile.</summary>
    /// <returns>Bytes that lie in huge pages now; 0 where the system knows no such call (before Linux 6.1) or the file is on a disk.</returns>
    public static long PutTogether(SafeFileHandle file, long length, CancellationToken cancel)
    {
        if (length < AlignedMapping.HugePageBytes)
            return 0;
        try
        {
            using var mapping = new AlignedMapping(file, length);
            return PutTogether(mapping.DangerousGetHandle(), length, cancel);
        }
        catch (IOException)
        {
            // No room for a mapping: the pages stay as they are.
            return 0;
        }
    }

    private static long PutTogether(nint start, long length, CancellationToken cancel)
    {
        const int bytes = AlignedMapping.HugePageBytes;
        var done = 0L;
        for (var at = 0L; at + bytes <= length && !cancel.IsCancellationRequested; at += bytes)
        {
            if (Advise(start + (nint)at, bytes, Collapse) == 0)
                done += bytes;
            // A page that is being written to disk right now: the next ones may do.
            else if (Marshal.GetLastPInvokeError() != TryAgain)
                break;
        }

        return done;
    }

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    private static partial int Advise(nint address, nuint length, int advice);
}
