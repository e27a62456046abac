using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Moebius.Crds;
using Moebius.Crds.Host;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Inference.Storage;

/// <summary>
/// A weight file, read at positions from any thread. How it is read (past the page cache, through it, from a map)
/// changes speed and memory, never bytes.
/// </summary>
internal abstract class StoredFile : IDisposable
{
    private protected StoredFile(string path, SafeFileHandle handle)
    {
        Path = path;
        Handle = handle;
        Length = RandomAccess.GetLength(handle);
    }

    public string Path { get; }

    /// <summary>Bytes of the file when it was opened.</summary>
    public long Length { get; }

    /// <summary>How it is read, in words for the log: <c>direct I/O</c>, and where that was refused, why not.</summary>
    public abstract string Access { get; }

    private protected SafeFileHandle Handle { get; }

    /// <summary>Opens a file for a slow tier.</summary>
    /// <exception cref="UserInputException">It cannot be opened, or the tier is not one of a file.</exception>
    public static StoredFile Open(string path, SlowTier tier = SlowTier.DirectIO)
    {
        SafeFileHandle handle;
        // Opening a pipe waits for somebody who writes into it.
        if (FileKinds.IsSpecial(path))
            throw new UserInputException($"{path}: is a device, a pipe or a socket; a file is needed");
        try
        {
            handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read, FileOptions.RandomAccess);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserInputException($"{path}: cannot be opened ({e.Message})", e);
        }
        try
        {
            return tier switch
            {
                SlowTier.MemoryMap => new MappedFile(path, handle),
                SlowTier.DirectIO => RefusalOfDirect(handle) is string refusal
                    ? new BufferedFile(path, handle, $"the page cache, because {refusal}")
                    : new DirectFile(path, handle),
                _ => throw new UserInputException(SlowTiers.Refusal(tier)),
            };
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Fills <paramref name="destination"/> with what begins at <paramref name="offset"/>.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="destination">Its length must lie inside the file.</param>
    /// <param name="what">For the error: which part it is.</param>
    /// <exception cref="IOException">The file has become shorter, or the device fails.</exception>
    public abstract void Read(long offset, Span<byte> destination, string what);

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing) => Handle.Dispose();

    private protected IOException Truncated(string what, long offset) =>
        new($"{Path}: {what}: the file ended at byte {offset}; it was truncated after it was opened");

    /// <summary>Sets a file to be read past the page cache. Returns why not, or null where it is.</summary>
    private static unsafe string? RefusalOfDirect(SafeFileHandle handle)
    {
        var flags = LibC.fcntl(handle, LibC.GetStatusFlags, 0);
        if (flags < 0 || LibC.fcntl(handle, LibC.SetStatusFlags, flags | LibC.Direct) < 0)
            return $"its file system refuses direct I/O ({Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())})";
        var block = (byte*)NativeMemory.AlignedAlloc(DirectFile.Alignment, DirectFile.Alignment);
        try
        {
            // Some file systems take the flag and refuse the reads.
            RandomAccess.Read(handle, new Span<byte>(block, DirectFile.Alignment), 0);
            return null;
        }
        catch (Exception e) when (e is IOException or ArgumentException)
        {
            _ = LibC.fcntl(handle, LibC.SetStatusFlags, flags);
            return $"its file system refuses direct reads ({e.Message})";
        }
        finally
        {
            NativeMemory.AlignedFree(block);
        }
    }
}

/// <summary>Which slow tiers there are here.</summary>
internal static class SlowTiers
{
    /// <summary>Why a tier cannot be used, and what can.</summary>
    public static string Refusal(SlowTier tier) =>
        $"{tier} is for a fast tier on a device, and this build computes on the processor, where host memory is the fast tier: use DirectIO or MemoryMap";
}
