using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Moebius.Inference.Storage;

/// <summary>A range of addresses that begins with a huge page. A page takes memory when it is first written.</summary>
/// <param name="Mapped">What was mapped.</param>
/// <param name="MappedBytes">Bytes of it.</param>
/// <param name="First">Where the range begins.</param>
internal readonly unsafe record struct HugePages(nint Mapped, nuint MappedBytes, nint First)
{
    private const long Page = 2 << 20;

    /// <summary>Maps zeroed memory and asks for huge pages, whole ones only: the last part of one would be memory beyond what is asked for.</summary>
    /// <param name="bytes">Above 0.</param>
    /// <param name="what">What it is for, for the error.</param>
    /// <exception cref="InsufficientMemoryException">The system has no addresses left.</exception>
    public static HugePages Map(long bytes, string what)
    {
        var mapped = (nuint)(bytes + Page);
        var address = (nint)LibC.mmap(null, mapped, LibC.ProtectRead | LibC.ProtectWrite, LibC.MapPrivate | LibC.MapAnonymous | LibC.MapNoReserve, -1, 0);
        if (address == -1)
            throw new InsufficientMemoryException($"{what}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");
        var first = (address + (nint)Page - 1) / (nint)Page * (nint)Page;
        _ = LibC.madvise((void*)first, (nuint)(bytes / Page * Page), LibC.AdviseHugePage);
        return new HugePages(address, mapped, first);
    }

    /// <summary>Gives it back.</summary>
    public void Free() => _ = LibC.munmap((void*)Mapped, MappedBytes);
}
