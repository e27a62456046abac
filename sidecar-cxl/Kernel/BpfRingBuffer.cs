using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Moebius.Cxl.Kernel;

/// <summary>Reads records from a BPF ring buffer.</summary>
internal sealed unsafe class BpfRingBuffer : IDisposable
{
    /// <summary>Takes one record; the bytes are valid only during the call. Must not throw.</summary>
    public delegate void RecordHandler(ReadOnlySpan<byte> record);

    private readonly RecordHandler _handler;
    private GCHandle _self;
    private nint _handle;

    /// <summary>Creates the reader. <paramref name="handler"/> runs on the thread that calls <see cref="Drain"/>.</summary>
    public BpfRingBuffer(BpfMap map, RecordHandler handler)
    {
        _handler = handler;
        _self = GCHandle.Alloc(this);
        _handle = LibBpf.ring_buffer__new(map.Descriptor, &OnRecord, (void*)GCHandle.ToIntPtr(_self), 0);
        if (_handle == 0)
        {
            var error = Marshal.GetLastPInvokeError();
            _self.Free();
            throw new BpfException("opening the ring buffer", error);
        }
    }

    /// <summary>Hands over everything that is in the buffer now and returns how many records that were.</summary>
    public int Drain()
    {
        var count = LibBpf.ring_buffer__consume(_handle);
        BpfObject.Check(count, "reading the ring buffer");
        return count;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_handle == 0)
            return;
        LibBpf.ring_buffer__free(_handle);
        _handle = 0;
        _self.Free();
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnRecord(void* context, void* data, nuint size)
    {
        ((BpfRingBuffer)GCHandle.FromIntPtr((nint)context).Target!)._handler(new ReadOnlySpan<byte>(data, (int)size));
        return 0;
    }
}
