using System.Runtime.InteropServices;

namespace Moebius.Cxl.Kernel;

/// <summary>An attached program. Disposing detaches it.</summary>
internal sealed class BpfLink(nint handle, string program) : IDisposable
{
    private nint _handle = handle;

    /// <summary>The name of the attached program.</summary>
    public string Program { get; } = program;

    /// <summary>Runs an iterator program over everything that it iterates, here and now.</summary>
    /// <exception cref="BpfException">The kernel refused, or stopped on the way.</exception>
    public unsafe void Iterate()
    {
        const int EINTR = 4;
        var descriptor = LibBpf.bpf_iter_create(LibBpf.bpf_link__fd(_handle));
        BpfObject.Check(descriptor, $"starting the iterator {Program}");
        try
        {
            var buffer = stackalloc byte[64];
            while (true)
            {
                var count = LibC.read(descriptor, buffer, 64);
                if (count == 0)
                    return;
                if (count < 0 && Marshal.GetLastPInvokeError() is var error && error is not (BpfException.EAGAIN or EINTR))
                    throw new BpfException($"running the iterator {Program}", error);
            }
        }
        finally
        {
            _ = LibC.close(descriptor);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_handle != 0)
            _ = LibBpf.bpf_link__destroy(_handle);
        _handle = 0;
    }
}
