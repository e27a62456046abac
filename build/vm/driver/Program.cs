using System.Globalization;
using Moebius.Cxl.VirtualMachine;

// vm-driver all|short FAULTY-OBJECT: the checks, one line each, and an exit code.
// vm-driver observer: the checks of a kernel without sched_ext.
// vm-driver bench: the duplex scheduler against the kernel's own.
// vm-driver hold: loads the scheduler and waits to be killed.
// vm-driver wake CGROUP: joins a cgroup, then sleeps and works in turn.
// vm-driver touch CGROUP READS WRITES: joins a cgroup, then reads and writes fresh pages.
// vm-driver limited: runs "agent" with three capabilities. vm-driver agent: runs the agent for a moment.
return args switch
{
    ["all", var faulty] => Checks.Run(all: true, faulty),
    ["short", var faulty] => Checks.Run(all: false, faulty),
    ["observer", ..] => Checks.RunObserver(),
    ["bench", ..] => Comparison.Run(),
    ["hold"] => Workers.Hold(),
    ["limited"] => Workers.Limited(),
    ["agent"] => Workers.Agent(),
    ["wake", var cgroup] => Workers.Wake(cgroup),
    ["touch", var cgroup, var reads, var writes] => Workers.Touch(cgroup, int.Parse(reads, CultureInfo.InvariantCulture), int.Parse(writes, CultureInfo.InvariantCulture)),
    _ => 2,
};
