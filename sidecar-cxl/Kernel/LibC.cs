using System.Runtime.InteropServices;

namespace Moebius.Cxl.Kernel;

/// <summary>The functions of the C library that .NET has no counterpart for.</summary>
internal static unsafe partial class LibC
{
    private const string Library = "libc";

    [LibraryImport(Library)]
    public static partial int vsnprintf(byte* buffer, nuint size, byte* format, void* arguments);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int name_to_handle_at(int directory, string path, void* handle, int* mountId, int flags);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial nint getxattr(string path, string name, void* value, nuint size);

    [LibraryImport(Library, SetLastError = true)]
    public static partial nint syscall(nint number, void* first, nint second, nint third, nint fourth, nint fifth, nint sixth);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int close(int descriptor);

    [LibraryImport(Library, SetLastError = true)]
    public static partial nint read(int descriptor, void* buffer, nuint count);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int ioctl(int descriptor, nuint request, nint argument);
}
