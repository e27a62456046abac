namespace Moebius.Cxl.Kernel;

/// <summary>Why a program is not in the kernel.</summary>
/// <param name="Reason">A constant.</param>
/// <param name="Message">What a person can act on.</param>
/// <param name="Log">What libbpf printed, with the verifier's log if the kernel rejected the program; null if nothing.</param>
internal sealed record BpfRefusal(string Reason, string Message, string? Log = null)
{
    /// <summary>Reads what loading threw; null if it is nothing that a kernel or a container may lack.</summary>
    /// <param name="error">What was thrown.</param>
    /// <param name="rejected">The reason when the verifier rejects the program.</param>
    /// <param name="failed">The reason when there is no better one.</param>
    public static BpfRefusal? Of(Exception error, string rejected, string failed) => error switch
    {
        DllNotFoundException => new("LibbpfMissing", $"libbpf.so.1 cannot be loaded (Debian: apt-get install libbpf1): {error.Message.Split('\n')[0]}"),
        EntryPointNotFoundException => new("LibbpfTooOld", error.Message.Split('\n')[0]),
        BpfException bpf => new(
            bpf.Log.Contains("BEGIN PROG LOAD LOG", StringComparison.Ordinal) ? rejected : bpf.Error is BpfException.EPERM or BpfException.EACCES ? "NotPermitted" : failed,
            bpf.Message,
            bpf.Log.Length > 0 ? bpf.Log : null),
        _ => null,
    };
}
