using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;
using Moebius.Crds;

namespace Moebius.KvCache.Arena;

/// <summary>
/// The shared-memory file. Its space is allocated when it is created, so that a full file system is an error message
/// here and not a bus error in the engine later.
/// </summary>
internal sealed unsafe class ArenaFile : IDisposable
{
    private readonly MemoryMappedFile _map;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _base;
    private readonly SafeFileHandle _file;
    private readonly CancellationTokenSource _stop = new();
    private Task _pages = Task.CompletedTask;

    private ArenaFile(string path, long bytes, FileStream stream)
    {
        Path = path;
        Bytes = bytes;
        _file = stream.SafeFileHandle;
        _map = MemoryMappedFile.CreateFromFile(stream, null, bytes, MemoryMappedFileAccess.ReadWrite, HandleInheritability.None, leaveOpen: false);
        _view = _map.CreateViewAccessor(0, bytes, MemoryMappedFileAccess.ReadWrite);
        byte* start = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        _base = start;
    }

    public string Path { get; }

    public long Bytes { get; }

    /// <summary>Creates the file, replacing one that a killed process left.</summary>
    /// <exception cref="UserInputException">The folder is missing, not writable, or too small.</exception>
    public static ArenaFile Create(string path, long bytes)
    {
        var folder = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!;
        if (!Directory.Exists(folder))
            throw new UserInputException($"--arena: folder '{folder}' does not exist: create it, best on a memory file system (emptyDir with medium Memory)");
        try
        {
            // A new inode: a process that still maps the old file keeps its own bytes and never sees these.
            File.Delete(path);
            var free = new DriveInfo(folder).AvailableFreeSpace;
            if (free < bytes)
                throw TooSmall(path, bytes, free);
            var stream = new FileStream(path, new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.ReadWrite,
                Share = FileShare.ReadWrite | FileShare.Delete,
                PreallocationSize = bytes,
                UnixCreateMode = SharedFiles.Mode,
            });
            if (stream.Length < bytes)
                stream.SetLength(bytes);
            // The process's umask may have taken the group's bits.
            File.SetUnixFileMode(stream.SafeFileHandle, SharedFiles.Mode);
            return new ArenaFile(path, bytes, stream);
        }
        catch (IOException error) when (error is not (DirectoryNotFoundException or FileNotFoundException) && error.HResult == 28)
        {
            throw TooSmall(path, bytes, new DriveInfo(folder).AvailableFreeSpace);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new UserInputException($"--arena: cannot create '{path}': {error.Message}", error);
        }
    }

    /// <summary>Writes a slot's generation where the engine can read it.</summary>
    public void PublishGeneration(ArenaGeometry geometry, int slot, ulong generation) =>
        Volatile.Write(ref *(ulong*)(_base + geometry.GenerationTableOffset + ((long)slot * sizeof(ulong))), generation);

    /// <summary>The leading bytes of a slot. The caller keeps the slot: reserved for itself, or under a lease.</summary>
    public Span<byte> Slot(ArenaGeometry geometry, int slot, int length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)slot, (uint)geometry.SlotCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, geometry.SlotBytes);
        return new Span<byte>(_base + (slot * geometry.SlotBytes), length);
    }

    /// <summary>Puts the file's pages together into huge ones, beside whatever goes on. Called once.</summary>
    /// <param name="done">Told how many bytes lie in such pages then.</param>
    public void UseHugePages(Action<long> done) =>
        _pages = Task.Factory.StartNew(() => done(HugePages.PutTogether(_file, Bytes, _stop.Token)), _stop.Token, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    public void Dispose()
    {
        _stop.Cancel();
        ((IAsyncResult)_pages).AsyncWaitHandle.WaitOne();
        _stop.Dispose();
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _map.Dispose();
        File.Delete(Path);
    }

    private static UserInputException TooSmall(string path, long bytes, long free) => new(
        $"--arena-size: {Quantities.Format(bytes)} does not fit: the file system of '{path}' has {Quantities.Format(free)} free; " +
        "lower kvCache.memory, or raise the size limit of the memory volume (sizeLimit of the emptyDir, --shm-size)");
}
