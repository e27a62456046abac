using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Moebius.KvCache.Arena;

/// <summary>
/// Puts the pages of a file on a memory file system together into huge ones of 2 MiB, whatever the mount's own setting:
/// a block of 256 KiB needs 64 translations of addresses otherwise. What can not be put together stays as it is, and
/// nothing else changes: the memory is the same, on this process's account as before.
/// </summary>
internal static partial class HugePages
{
    /// <summary>Bytes of a huge page.</summary>
    public const long Bytes = 2 << 20;

    private const int Collapse = 25;
    private const int ReadWrite = 3;
    private const int Shared = 0x01;
    private const int Fixed = 0x10;
    private const int PrivateAnonymousNoReserve = 0x4022;
    private const int TryAgain = 11;
    private static readonly nint Failed = -1;

    /// <summary>Works through the leading <paramref name="length"/> bytes; the file may be in use meanwhile.</summary>
    /// <returns>Bytes that lie in huge pages now; 0 where the system knows no such call (before Linux 6.1) or the file is on a disk.</returns>
    public static long PutTogether(SafeFileHandle file, long length, CancellationToken cancel)
    {
        var room = checked((nuint)(length + Bytes));
        var reserved = Map(0, room, 0, PrivateAnonymousNoReserve, -1, 0);
        if (reserved == Failed)
            return 0;
        var held = false;
        try
        {
            file.DangerousAddRef(ref held);
            var start = (reserved + (nint)Bytes - 1) & ~((nint)Bytes - 1);
            return Map(start, (nuint)length, ReadWrite, Shared | Fixed, (int)file.DangerousGetHandle(), 0) == Failed ? 0 : PutTogether(start, length, cancel);
        }
        finally
        {
            if (held)
                file.DangerousRelease();
            _ = Unmap(reserved, room);
        }
    }

    private static long PutTogether(nint start, long length, CancellationToken cancel)
    {
        var done = 0L;
        for (var at = 0L; at + Bytes <= length && !cancel.IsCancellationRequested; at += Bytes)
        {
            if (Advise(start + (nint)at, (nuint)Bytes, Collapse) == 0)
                done += Bytes;
            // A page that is being written to disk right now: the next ones may do.
            else if (Marshal.GetLastPInvokeError() != TryAgain)
                break;
        }

        return done;
    }

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Map(nint address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(nint address, nuint length);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    private static partial int Advise(nint address, nuint length, int advice);
}
