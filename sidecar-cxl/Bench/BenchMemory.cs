using System.Runtime.InteropServices;
using Moebius.Crds;
using Moebius.Cxl.Kernel;

namespace Moebius.Cxl.Bench;

/// <summary>Memory of the benchmark: placed, locked and backed as asked, and touched so that all of it is there.</summary>
internal sealed unsafe partial class BenchMemory : IDisposable
{
    private const int ReadWrite = 3;
    private const int PrivateAnonymous = 0x22;
    private const int AdviseHugePage = 14;
    private const nint MbindX64 = 237;
    private const nint MbindArm64 = 235;
    private const int Bind = 2;
    private const int NoFlags = 0;
    private const long HugePageBytes = 2 << 20;

    private readonly nuint _mapped;
    private byte* _mapping;

    /// <summary>Maps and touches the memory.</summary>
    /// <exception cref="UserInputException">The kernel refuses what was asked for.</exception>
    public BenchMemory(long bytes, BenchOptions options)
    {
        // Room to start on a huge page's boundary.
        _mapped = (nuint)(bytes + HugePageBytes);
        var address = mmap(null, _mapped, ReadWrite, PrivateAnonymous, -1, 0);
        if (address == (void*)-1)
            throw Refused($"--size: {bytes} bytes for each of {options.Threads} threads cannot be mapped");
        _mapping = (byte*)address;
        Start = (byte*)(((nuint)_mapping + (nuint)HugePageBytes - 1) & ~((nuint)HugePageBytes - 1));
        try
        {
            if (options.Node is { } node)
                Place(node);
            if (options.HugePages && madvise(_mapping, _mapped, AdviseHugePage) != 0)
                throw Refused("--huge-pages: the kernel has no transparent huge pages");
            NativeMemory.Fill(Start, (nuint)bytes, 1);
            if (options.Lock && mlock(Start, (nuint)bytes) != 0)
                throw Refused($"--lock: {bytes} bytes for each of {options.Threads} threads cannot be locked (see ulimit -l)");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The first byte; on a 2 MiB boundary.</summary>
    public byte* Start { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_mapping is not null)
            _ = munmap(_mapping, _mapped);
        _mapping = null;
    }

    private void Place(int node)
    {
        var mask = stackalloc ulong[16];
        new Span<ulong>(mask, 16).Clear();
        mask[node / 64] = 1UL << (node % 64);
        var number = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? MbindArm64 : MbindX64;
        if (LibC.syscall(number, _mapping, (nint)_mapped, Bind, (nint)mask, 16 * 64, NoFlags) != 0)
            throw Refused($"--node {node}: memory cannot be bound to this node");
    }

    private static UserInputException Refused(string what) => new($"{what}: {Marshal.GetLastPInvokeErrorMessage()}");

    [LibraryImport("libc", SetLastError = true)]
    private static partial void* mmap(void* address, nuint length, int protection, int flags, int descriptor, nint offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int munmap(void* address, nuint length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int madvise(void* address, nuint length, int advice);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int mlock(void* address, nuint length);
}
