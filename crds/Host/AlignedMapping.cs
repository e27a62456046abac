using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Moebius.Crds.Host;

/// <summary>
/// A file mapped for reading and writing at a multiple of 2 MiB: only there can the processor translate the addresses of
/// huge pages as such. Valid while the handle is held.
/// </summary>
public sealed partial class AlignedMapping : SafeHandleZeroOrMinusOneIsInvalid
{
    /// <summary>Bytes of a huge page.</summary>
    public const int HugePageBytes = 2 << 20;

    private const nuint HugePage = HugePageBytes;
    private const int ReadWrite = 3;
    private const int Shared = 0x01;
    private const int Private = 0x02;
    private const int Fixed = 0x10;
    private const int AnonymousNoReserve = 0x4020;
    private static readonly nint Failed = -1;

    private readonly nuint _length;

    /// <summary>Maps the leading bytes of a file.</summary>
    /// <param name="file">Open for reading and writing; may be closed afterwards.</param>
    /// <param name="bytes">How many, at least one and at most the file's length.</param>
    /// <exception cref="IOException">The system gives no mapping.</exception>
    public AlignedMapping(SafeFileHandle file, long bytes) : base(ownsHandle: true)
    {
        _length = checked((nuint)bytes);
        // Room for the start to move in, taken first and given back around the mapping.
        var room = _length + HugePage;
        var reserved = Map(0, room, 0, Private | AnonymousNoReserve, -1, 0);
        if (reserved == Failed)
            throw Error();
        var aligned = (nint)(((nuint)reserved + HugePage - 1) & ~(HugePage - 1));
        var held = false;
        file.DangerousAddRef(ref held);
        var mapped = Map(aligned, _length, ReadWrite, Shared | Fixed, (int)file.DangerousGetHandle(), 0);
        var error = mapped == Failed ? Error() : null;
        file.DangerousRelease();
        if (error is not null)
        {
            _ = Unmap(reserved, room);
            throw error;
        }

        var end = (nint)(((nuint)aligned + _length + (nuint)Environment.SystemPageSize - 1) & ~((nuint)Environment.SystemPageSize - 1));
        if (aligned > reserved)
            _ = Unmap(reserved, (nuint)(aligned - reserved));
        if (reserved + (nint)room > end)
            _ = Unmap(end, (nuint)(reserved + (nint)room - end));
        SetHandle(mapped);
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => Unmap(handle, _length) == 0;

    private static IOException Error() => new($"mmap: {Marshal.GetLastPInvokeErrorMessage()}");

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Map(nint address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(nint address, nuint length);
}
