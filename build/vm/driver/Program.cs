using Moebius.Cxl.VirtualMachine;

// vm-driver all|short FAULTY-OBJECT: the checks, one line each, and an exit code.
// vm-driver bench: the duplex scheduler against the kernel's own.
// vm-driver hold: loads the scheduler and waits to be killed.
// vm-driver wake CGROUP: joins a cgroup, then sleeps and works in turn.
// vm-driver limited: runs "agent" with three capabilities. vm-driver agent: runs the agent for a moment.
return args switch
{
    ["all", var faulty] => Checks.Run(all: true, faulty),
    ["short", var faulty] => Checks.Run(all: false, faulty),
    ["bench", ..] => Comparison.Run(),
    ["hold"] => Workers.Hold(),
    ["limited"] => Workers.Limited(),
    ["agent"] => Workers.Agent(),
    ["wake", var cgroup] => Workers.Wake(cgroup),
    _ => 2,
};
