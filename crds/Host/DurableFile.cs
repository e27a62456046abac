using System.Runtime.InteropServices;

namespace Moebius.Crds.Host;

/// <summary>Files that are there whole or not at all, also after a power cut.</summary>
public static partial class DurableFile
{
    /// <summary>What a file system answers that does not write names by itself, as some across a network.</summary>
    private const int NotSupported = 95, Invalid = 22;

    /// <summary>
    /// Makes a file, or another in place of one: under a name of its own (with <c>.part</c>) until it is on the device. Who
    /// replaces the same file at the same time gets an <see cref="IOException"/>.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="write">Writes it. What this throws is passed on, and what was there before stays.</param>
    /// <exception cref="IOException">It cannot be written, or is not on the device.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written.</exception>
    public static void Replace(string path, Action<FileStream> write)
    {
        var part = path + ".part";
        using (var file = new FileStream(part, FileMode.OpenOrCreate, FileAccess.Write, FileShare.None, bufferSize: 0))
        {
            try
            {
                // Of one that was killed.
                file.SetLength(0);
                write(file);
                file.Flush(flushToDisk: true);
                File.Move(part, path, overwrite: true);
            }
            catch
            {
                try
                {
                    // While the file is still locked, so that it is not another writer's.
                    File.Delete(part);
                }
                catch (Exception error) when (error is IOException or UnauthorizedAccessException)
                {
                    // The next writer begins it afresh. Why this one failed is what its caller has to know.
                }

                throw;
            }
        }

        SyncDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    /// <summary>Returns when the names in a directory are on the device, so that they last through a power cut.</summary>
    /// <param name="path">The directory.</param>
    /// <exception cref="IOException">They cannot be written.</exception>
    public static void SyncDirectory(string path)
    {
        const int closeOnExec = 0x80000;
        var descriptor = open(path, closeOnExec);
        var error = descriptor < 0 || fsync(descriptor) < 0 ? Marshal.GetLastPInvokeError() : 0;
        if (descriptor >= 0)
            _ = close(descriptor);
        if (error != 0 && (descriptor < 0 || error is not (NotSupported or Invalid)))
            throw new IOException($"{path}: its names cannot be written to the device: {Marshal.GetPInvokeErrorMessage(error)}");
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(int descriptor);

    [LibraryImport("libc")]
    private static partial int close(int descriptor);
}
