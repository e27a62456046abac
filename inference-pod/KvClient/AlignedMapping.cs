using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Moebius.Inference.KvClient;

/// <summary>
/// A file mapped for reading and writing at a multiple of 2 MiB: only there can the processor translate the addresses of
/// huge pages as such.
/// </summary>
internal sealed unsafe partial class AlignedMapping : SafeHandleZeroOrMinusOneIsInvalid
{
    private const nuint HugePage = 2 << 20;
    private const int ReadWrite = 3;
    private const int Shared = 0x01;
    private const int Private = 0x02;
    private const int Fixed = 0x10;
    private const int AnonymousNoReserve = 0x4020;
    private static readonly nint Failed = -1;

    private readonly nuint length;

    /// <exception cref="IOException">The system gives no mapping.</exception>
    public AlignedMapping(SafeFileHandle file, long bytes) : base(ownsHandle: true)
    {
        length = checked((nuint)bytes);
        // Room for the start to move in, taken first and given back around the mapping.
        nuint room = length + HugePage;
        nint reserved = Map(0, room, 0, Private | AnonymousNoReserve, -1, 0);
        if (reserved == Failed)
            throw Error();
        nint aligned = (nint)(((nuint)reserved + HugePage - 1) & ~(HugePage - 1));
        var held = false;
        file.DangerousAddRef(ref held);
        nint mapped = Map(aligned, length, ReadWrite, Shared | Fixed, (int)file.DangerousGetHandle(), 0);
        IOException? error = mapped == Failed ? Error() : null;
        file.DangerousRelease();
        if (error is not null)
        {
            _ = Unmap(reserved, room);
            throw error;
        }

        nint end = (nint)(((nuint)aligned + length + (nuint)Environment.SystemPageSize - 1) & ~((nuint)Environment.SystemPageSize - 1));
        if (aligned > reserved)
            _ = Unmap(reserved, (nuint)(aligned - reserved));
        if (reserved + (nint)room > end)
            _ = Unmap(end, (nuint)(reserved + (nint)room - end));
        SetHandle(mapped);
    }

    /// <summary>The first byte; valid while the handle is held.</summary>
    public byte* Start => (byte*)handle;

    protected override bool ReleaseHandle() => Unmap(handle, length) == 0;

    private static IOException Error() => new($"mmap: {Marshal.GetLastPInvokeErrorMessage()}");

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Map(nint address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(nint address, nuint length);
}
