using Microsoft.Win32.SafeHandles;
using Moebius.Crds.Host;
using Moebius.Inference.Storage;

namespace Moebius.Inference.KvClient;

/// <summary>
/// The sidecar's shared-memory file, mapped: blocks are read and written where they lie. The mapping stays for as long as
/// somebody holds it, also beyond its disposal. The file's length is looked at before each use, since touching a page that
/// the file has lost would end the process; the sidecar itself never shortens it.
/// </summary>
internal sealed unsafe class ArenaFile : IDisposable
{
    private const int PopulateRead = 22;
    private const long PopulateStep = 16 << 20;

    private readonly SafeFileHandle _file;
    private readonly AlignedMapping _mapping;
    private readonly byte* _start;
    private readonly long _bytes;
    private readonly long _slotBytes;
    private readonly uint _slots;

    /// <exception cref="IOException">The file cannot be opened or is smaller than announced.</exception>
    public ArenaFile(string path, long bytes, long slotBytes, uint slots)
    {
        (_bytes, _slotBytes, _slots) = (bytes, slotBytes, slots);
        _file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        if (RandomAccess.GetLength(_file) < bytes || slots * slotBytes > bytes)
        {
            _file.Dispose();
            throw new IOException($"{path} holds less than the {slots} slots of {slotBytes} bytes that were announced");
        }

        try
        {
            _mapping = new AlignedMapping(_file, bytes);
        }
        catch
        {
            _file.Dispose();
            throw;
        }

        _start = (byte*)_mapping.DangerousGetHandle();
    }

    /// <summary>Keeps the mapping until <see cref="EndHold"/>. False: it is gone already.</summary>
    public bool TryHold()
    {
        try
        {
            var held = false;
            _mapping.DangerousAddRef(ref held);
            return held;
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
    }

    public void EndHold() => _mapping.DangerousRelease();

    /// <summary>The leading bytes of a slot, in place. Empty when the file no longer holds them. The caller holds the mapping.</summary>
    public Span<byte> Slot(uint slot, int length) =>
        slot < _slots && length <= _slotBytes && Length() >= _bytes ? new Span<byte>(_start + (slot * _slotBytes), length) : [];

    /// <summary>
    /// Enters all pages into this process's page table, so that the first prompt which reads a block does not wait for it.
    /// Without an effect on kernels before 5.14. The caller holds the mapping.
    /// </summary>
    public void Populate(CancellationToken stop)
    {
        for (long at = 0; at < _bytes && !stop.IsCancellationRequested && Length() >= _bytes; at += PopulateStep)
        {
            if (LibC.madvise(_start + at, (nuint)Math.Min(PopulateStep, _bytes - at), PopulateRead) != 0)
                return;
        }
    }

    public void Dispose()
    {
        _mapping.Dispose();
        _file.Dispose();
    }

    private long Length()
    {
        try
        {
            return RandomAccess.GetLength(_file);
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            return 0;
        }
    }
}
