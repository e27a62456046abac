using System.Runtime.InteropServices;

namespace Moebius.Cxl.Kernel;

/// <summary>
/// A libbpf call failed. Carries the errno and everything libbpf printed, among it the verifier's log when the kernel
/// rejected a program.
/// </summary>
internal sealed class BpfException : Exception
{
    public const int EPERM = 1;
    public const int ENOENT = 2;
    public const int EAGAIN = 11;
    public const int EACCES = 13;
    public const int EBUSY = 16;
    public const int EINVAL = 22;

    private BpfException(string operation, int error, string log, string summary)
        : base($"{operation} failed: {Marshal.GetPInvokeErrorMessage(error)} (errno {error}){(summary.Length == 0 ? "" : ": " + summary)}")
    {
        Error = error;
        Log = log;
    }

    /// <summary>Creates the exception for an errno (positive).</summary>
    public BpfException(string operation, int error, string log = "") : this(operation, error, log, Summarise(log))
    {
    }

    /// <summary>The errno, positive.</summary>
    public int Error { get; }

    /// <summary>What libbpf printed; empty if it printed nothing.</summary>
    public string Log { get; }

    /// <summary>
    /// The one line of a libbpf log that names the cause. For a rejected program that is the verifier's last word before
    /// its statistics; otherwise the first warning.
    /// </summary>
    public static string Summarise(string log)
    {
        var lines = log.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var end = Array.FindIndex(lines, line => line.StartsWith("processed ", StringComparison.Ordinal) || line.Contains("-- END PROG LOAD LOG --", StringComparison.Ordinal));
        var cause = end > 0 && !lines[end - 1].Contains("-- BEGIN", StringComparison.Ordinal) ? lines[end - 1] : lines.FirstOrDefault() ?? "";
        return cause.StartsWith("libbpf: ", StringComparison.Ordinal) ? cause["libbpf: ".Length..] : cause;
    }
}
