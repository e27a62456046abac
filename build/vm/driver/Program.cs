using Moebius.Cxl.VirtualMachine;

// vm-driver check FAULTY-OBJECT: all checks, one line each, and an exit code.
// vm-driver hold: loads the scheduler and waits to be killed.
// vm-driver wake CGROUP: joins a cgroup, then sleeps and works in turn.
return args switch
{
    ["check", var faulty] => Checks.Run(faulty),
    ["hold"] => Workers.Hold(),
    ["wake", var cgroup] => Workers.Wake(cgroup),
    _ => 2,
};
