namespace Moebius.Cxl.Kernel;

/// <summary>An attached program. Disposing detaches it.</summary>
internal sealed class BpfLink(nint handle, string program) : IDisposable
{
    private nint handle = handle;

    /// <summary>The name of the attached program.</summary>
    public string Program { get; } = program;

    /// <inheritdoc/>
    public void Dispose()
    {
        if (handle != 0)
            _ = LibBpf.bpf_link__destroy(handle);
        handle = 0;
    }
}
