using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;

namespace Moebius.Inference.KvClient;

/// <summary>The sidecar's arena, mapped into this process. KV bytes go through it and never over gRPC.</summary>
internal sealed unsafe class ArenaView : IDisposable
{
    private readonly MemoryMappedFile map;
    private readonly MemoryMappedViewAccessor view;
    private readonly byte* start;
    private readonly long slotBytes;
    private readonly long generations;
    private readonly int blockBytes;

    /// <summary>Maps the file.</summary>
    /// <exception cref="IOException">It cannot be mapped, or is not as large as the sidecar says.</exception>
    public ArenaView(string path, long bytes, long slotBytes, long generationTable, int blockBytes)
    {
        this.slotBytes = slotBytes;
        this.blockBytes = blockBytes;
        generations = generationTable;
        var stream = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        if (stream.Length < bytes)
        {
            stream.Dispose();
            throw new IOException($"{path}: {stream.Length} bytes, but the sidecar says {bytes}");
        }

        map = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.ReadWrite, HandleInheritability.None, leaveOpen: false);
        view = map.CreateViewAccessor(0, bytes, MemoryMappedFileAccess.ReadWrite);
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
    }

    /// <summary>The bytes of a slot's block.</summary>
    public Span<byte> Block(uint slot) => new(start + (slot * slotBytes), blockBytes);

    /// <summary>A slot's current generation: differs from the one in a message when the slot has been given to another block.</summary>
    public ulong Generation(uint slot) =>
        BinaryPrimitives.ReadUInt64LittleEndian(new ReadOnlySpan<byte>(start + generations + ((long)slot * sizeof(ulong)), sizeof(ulong)));

    public void Dispose()
    {
        view.SafeMemoryMappedViewHandle.ReleasePointer();
        view.Dispose();
        map.Dispose();
    }
}
