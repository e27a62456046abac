using Moebius.Cxl.Kernel;

namespace Moebius.Cxl.Tests.Kernel;

public sealed class BpfRefusalTests
{
    private const string Verifier = "libbpf: prog 'run': -- BEGIN PROG LOAD LOG --\nR1 invalid mem access\nprocessed 3 insns\n-- END PROG LOAD LOG --";

    [Theory]
    [InlineData(BpfException.EACCES, Verifier, "ProgramRejected")]
    [InlineData(BpfException.EACCES, "", "NotPermitted")]
    [InlineData(BpfException.EPERM, "libbpf: something", "NotPermitted")]
    [InlineData(BpfException.EINVAL, "", "LoadFailed")]
    public void What_libbpf_says_has_a_reason(int error, string log, string reason)
    {
        var refusal = BpfRefusal.Of(new BpfException("loading", error, log), "ProgramRejected", "LoadFailed")!;
        Assert.Equal((reason, log.Length > 0 ? log : null), (refusal.Reason, refusal.Log));
        Assert.StartsWith("loading failed: ", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_library_that_is_missing_or_too_old_is_said_in_one_line_and_anything_else_is_no_refusal()
    {
        Assert.Equal(new BpfRefusal("LibbpfMissing", "libbpf.so.1 cannot be loaded (Debian: apt-get install libbpf1): not there"), BpfRefusal.Of(new DllNotFoundException("not there\nat all"), "a", "b"));
        Assert.Equal(new BpfRefusal("LibbpfTooOld", "no such function"), BpfRefusal.Of(new EntryPointNotFoundException("no such function\nhere"), "a", "b"));
        Assert.Null(BpfRefusal.Of(new IOException("x"), "a", "b"));
    }
}
