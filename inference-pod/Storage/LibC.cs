using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Moebius.Inference.Storage;

/// <summary>The functions of the C library that .NET has no counterpart for, and their constants on Linux.</summary>
internal static unsafe partial class LibC
{
    public const int GetStatusFlags = 3;
    public const int SetStatusFlags = 4;
    public const int ProtectRead = 1;
    public const int ProtectWrite = 2;
    public const int MapPrivate = 2;
    public const int MapAnonymous = 0x20;
    public const int MapNoReserve = 0x4000;
    public const int AdviseWillNeed = 3;
    public const int AdviseDontNeed = 4;
    public const int AdviseHugePage = 14;

    private const string Library = "libc";

    /// <summary>The open flag for reads past the page cache; its value differs between processors.</summary>
    public static int Direct => RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm ? 0x10000 : 0x4000;

    [LibraryImport(Library, SetLastError = true)]
    public static partial int fcntl(SafeFileHandle file, int command, nint argument);

    [LibraryImport(Library, SetLastError = true)]
    public static partial void* mmap(void* address, nuint bytes, int protection, int flags, int file, nint offset);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int munmap(void* address, nuint bytes);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int madvise(void* address, nuint bytes, int advice);

    /// <summary>Gives memory that was freed back to the system; a function of glibc only.</summary>
    public static void TrimFreed()
    {
        if (Function("malloc_trim") is var trim and not 0)
            _ = ((delegate* unmanaged<nuint, int>)trim)(0);
    }

    /// <summary>
    /// Lets all threads take memory from one heap, where glibc would keep one for each and in each what was freed. Only for
    /// programs that take native memory rarely; a function of glibc only.
    /// </summary>
    public static void ShareHeap()
    {
        const int mostArenas = -8;
        if (Function("mallopt") is var option and not 0)
            _ = ((delegate* unmanaged<int, int, int>)option)(mostArenas, 1);
    }

    private static nint Function(string name) =>
        NativeLibrary.TryLoad(Library, out var library) && NativeLibrary.TryGetExport(library, name, out var function) ? function : 0;
}
