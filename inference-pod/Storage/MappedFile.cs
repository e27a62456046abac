using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Moebius.Inference.Storage;

/// <summary>
/// Copies from a map of the file, through the page cache. Pages are given back after a copy, so that they do not count
/// as this process's memory beside the budget. A file that is truncated in place between the check and the copy is a
/// bus error, which ends the process: the other ways of reading have no such gap.
/// </summary>
internal sealed unsafe class MappedFile : StoredFile
{
    private static readonly long Page = Environment.SystemPageSize;
    private readonly byte* _map;

    public MappedFile(string path, SafeFileHandle handle)
        : base(path, handle)
    {
        if (Length == 0)
            return;
        _map = (byte*)LibC.mmap(null, (nuint)Length, LibC.ProtectRead, LibC.MapPrivate, (int)handle.DangerousGetHandle(), 0);
        if ((nint)_map == -1)
            throw new IOException($"{path}: cannot be mapped ({new Win32Exception(Marshal.GetLastPInvokeError()).Message})");
    }

    public override string Access => "a memory map";

    public override void Read(long offset, Span<byte> destination, string what)
    {
        long end = offset + destination.Length, now = RandomAccess.GetLength(Handle);
        if (end > now || end > Length)
            throw Truncated(what, Math.Min(now, Length));
        if (destination.IsEmpty)
            return;
        var from = offset / Page * Page;
        var pages = _map + from;
        var bytes = (nuint)(end - from);
        // One request for all of it instead of one for each page that is touched.
        _ = LibC.madvise(pages, bytes, LibC.AdviseWillNeed);
        new ReadOnlySpan<byte>(_map + offset, destination.Length).CopyTo(destination);
        _ = LibC.madvise(pages, bytes, LibC.AdviseDontNeed);
    }

    protected override void Dispose(bool disposing)
    {
        if (_map != null)
            _ = LibC.munmap(_map, (nuint)Length);
        base.Dispose(disposing);
    }
}
