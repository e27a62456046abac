using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Moebius.KvCache.Tiers;

/// <summary>Opens files past the page cache (O_DIRECT): blocks on disk must not push the model's own pages out of memory.</summary>
internal static partial class DirectFile
{
    /// <summary>Offsets, lengths and addresses must be multiples of this many bytes.</summary>
    public const int Alignment = 4096;

    private const int ReadWrite = 0x2;
    private const int CreateNew = 0x40 | 0x80;
    private const int CloseOnExec = 0x80000;
    private const int OwnerOnly = 0x180;
    private const int InvalidArgument = 22;
    private const int NotSupported = 95;
    private static readonly int Direct = RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm ? 0x10000 : 0x4000;

    public static long AlignUp(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;

    /// <summary>Opens or creates a file. File systems that know no direct I/O get ordinary I/O.</summary>
    /// <exception cref="IOException">The system's error, number in HResult.</exception>
    public static SafeFileHandle Open(string path, bool create, out bool direct)
    {
        var flags = ReadWrite | CloseOnExec | (create ? CreateNew : 0);
        direct = true;
        var descriptor = NativeOpen(path, flags | Direct, OwnerOnly);
        if (descriptor < 0 && Marshal.GetLastPInvokeError() is InvalidArgument or NotSupported)
        {
            direct = false;
            // The refused attempt may have created the file.
            descriptor = NativeOpen(path, create ? flags & ~0x80 : flags, OwnerOnly);
        }

        return descriptor >= 0 ? new SafeFileHandle(descriptor, ownsHandle: true) : throw Error(path, Marshal.GetLastPInvokeError());
    }

    /// <summary>Takes a file's space now, so that a full disk shows here.</summary>
    /// <exception cref="IOException">The disk is full, or the system's error; number in HResult.</exception>
    public static void Allocate(SafeFileHandle file, string path, long bytes)
    {
        var added = false;
        try
        {
            file.DangerousAddRef(ref added);
            if (NativeAllocate((int)file.DangerousGetHandle(), 0, bytes) is var error and not 0)
                throw Error(path, error);
        }
        finally
        {
            if (added)
                file.DangerousRelease();
        }
    }

    /// <summary>Waits until a file's bytes are on the disk itself. A disk that has become read-only is an error here, which the runtime's own call passes over.</summary>
    /// <exception cref="IOException">They are not.</exception>
    public static void Flush(SafeFileHandle file, string path)
    {
        // What a file system cannot do at all is nothing to wait for.
        if (NativeFlush(file) < 0 && Marshal.GetLastPInvokeError() is var error and not (InvalidArgument or NotSupported))
            throw Error(path, error);
    }

    private static IOException Error(string path, int number) => new($"{path}: {Marshal.GetPInvokeErrorMessage(number)}", number);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int NativeOpen(string path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int NativeFlush(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "posix_fallocate")]
    private static partial int NativeAllocate(int descriptor, long offset, long length);
}

/// <summary>Memory that direct I/O can use. Grows when asked for more.</summary>
internal sealed unsafe class AlignedBuffer : IDisposable
{
    private byte* _memory;
    private int _size;

    public Span<byte> Take(int bytes)
    {
        ObjectDisposedException.ThrowIf(_size < 0, this);
        if (bytes > _size)
        {
            NativeMemory.AlignedFree(_memory);
            _size = 0;
            _memory = (byte*)NativeMemory.AlignedAlloc((nuint)DirectFile.AlignUp(bytes), DirectFile.Alignment);
            _size = (int)DirectFile.AlignUp(bytes);
        }

        return new Span<byte>(_memory, bytes);
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_memory);
        _memory = null;
        _size = -1;
        GC.SuppressFinalize(this);
    }

    ~AlignedBuffer() => NativeMemory.AlignedFree(_memory);
}
