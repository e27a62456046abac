using Microsoft.Win32.SafeHandles;

namespace Moebius.Inference.KvClient;

/// <summary>
/// The sidecar's shared-memory file. Slots are copied with positional reads and writes: on a memory file system they
/// are plain copies like those through a mapping, but a file that shrinks under the engine is a short read, not a bus
/// error that kills it.
/// </summary>
internal sealed class ArenaFile : IDisposable
{
    private readonly SafeFileHandle file;
    private readonly long slotBytes;
    private readonly uint slots;

    /// <exception cref="IOException">The file cannot be opened or is smaller than announced.</exception>
    public ArenaFile(string path, long bytes, long slotBytes, uint slots)
    {
        this.slotBytes = slotBytes;
        this.slots = slots;
        file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        if (RandomAccess.GetLength(file) >= bytes && slots * slotBytes <= bytes)
            return;
        file.Dispose();
        throw new IOException($"{path} holds less than the {slots} slots of {slotBytes} bytes that were announced");
    }

    /// <summary>Copies a slot's beginning out. False when the file no longer holds it.</summary>
    public bool TryRead(uint slot, Span<byte> destination)
    {
        if (slot >= slots || destination.Length > slotBytes)
            return false;
        try
        {
            var offset = slot * slotBytes;
            while (destination.Length > 0)
            {
                var read = RandomAccess.Read(file, destination, offset);
                if (read == 0)
                    return false;
                destination = destination[read..];
                offset += read;
            }

            return true;
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            return false;
        }
    }

    /// <summary>Copies bytes into a slot. False when the file no longer has room for them.</summary>
    public bool TryWrite(uint slot, ReadOnlySpan<byte> source)
    {
        if (slot >= slots || source.Length > slotBytes)
            return false;
        try
        {
            RandomAccess.Write(file, source, slot * slotBytes);
            return true;
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            return false;
        }
    }

    public void Dispose() => file.Dispose();
}
