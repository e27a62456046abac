using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Moebius.Cxl.Kernel;

/// <summary>
/// Keeps what libbpf prints, so that an error can carry it: the reason for a failed relocation, and the verifier's log
/// when the kernel rejects a program. libbpf has one global print function; the log is kept per thread, because loading
/// is synchronous.
/// </summary>
internal static unsafe class BpfLog
{
    private const int MaximumLength = 64 * 1024;
    private const int WarnLevel = 0;

    [ThreadStatic]
    private static StringBuilder? _current;

    private static readonly Lock Gate = new();
    private static bool _installed;

    /// <summary>Starts an empty log for this thread and takes over libbpf's print function.</summary>
    public static void Begin()
    {
        lock (Gate)
        {
            if (!_installed)
            {
                LibBpf.libbpf_set_print(&OnPrint);
                _installed = true;
            }
        }

        _current = new StringBuilder();
    }

    /// <summary>Takes what this thread's libbpf calls have printed since <see cref="Begin"/>.</summary>
    public static string Take()
    {
        var text = _current?.ToString() ?? "";
        _current = null;
        return text;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnPrint(int level, byte* format, void* arguments)
    {
        // Information and debug lines are thousands; only warnings explain a failure.
        if (level > WarnLevel || _current is not { } log)
            return 0;
        const int Size = 16 * 1024;
        var buffer = (byte*)NativeMemory.Alloc(Size);
        try
        {
            _ = LibC.vsnprintf(buffer, Size, format, arguments);
            log.Append(Marshal.PtrToStringUTF8((nint)buffer));
            // The end of a verifier log is what matters.
            if (log.Length > MaximumLength)
                log.Remove(0, log.Length - MaximumLength);
        }
        finally
        {
            NativeMemory.Free(buffer);
        }

        return 0;
    }
}
