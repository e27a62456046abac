using Moebius.Cxl.Kernel;

namespace Moebius.Cxl.Tests.Kernel;

public class BpfExceptionTests
{
    [Fact]
    public void A_rejected_program_is_summarised_by_the_verifiers_last_word()
    {
        const string Log = """
            libbpf: prog 'on_switch': BPF program load failed: Permission denied
            libbpf: prog 'on_switch': -- BEGIN PROG LOAD LOG --
            0: R1=ctx(off=0,imm=0) R10=fp0
            1: (79) r1 = *(u64 *)(r1 +0)
            R1 invalid mem access 'scalar'
            processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
            -- END PROG LOAD LOG --
            libbpf: failed to load object 'observe'
            """;
        Assert.Equal("loading failed: Permission denied (errno 13): R1 invalid mem access 'scalar'", new BpfException("loading", 13, Log).Message);
    }

    [Fact]
    public void Otherwise_the_first_warning_speaks() =>
        Assert.EndsWith(": elf: bad magic", new BpfException("opening", 22, "libbpf: elf: bad magic\nlibbpf: second\n").Message, StringComparison.Ordinal);
}
