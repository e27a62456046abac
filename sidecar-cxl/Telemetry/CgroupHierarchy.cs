using System.Runtime.InteropServices;
using Moebius.Crds;
using Moebius.Cxl.Kernel;

namespace Moebius.Cxl.Telemetry;

/// <summary>
/// A mounted cgroup hierarchy: the unified one, or on hosts that keep pods in v1 hierarchies that of the cpu controller.
/// </summary>
internal sealed class CgroupHierarchy
{
    /// <summary>Mount points below the directory where cgroups are mounted, in the order of preference.</summary>
    private static readonly string[] Candidates = ["", "cpu,cpuacct", "cpu", "unified"];

    private CgroupHierarchy(string root, bool version1) => (Root, Version1) = (root, version1);

    /// <summary>The mount point.</summary>
    public string Root { get; }

    /// <summary>True for a v1 hierarchy.</summary>
    public bool Version1 { get; }

    /// <summary>Cgroups that went away while they were looked at.</summary>
    public ulong Vanished { get; private set; }

    /// <summary>Takes the hierarchy that the user names, or finds one below the sysfs root.</summary>
    /// <exception cref="UserInputException">The named directory is no cgroup hierarchy.</exception>
    public static CgroupHierarchy? Find(string? named, string sysfs)
    {
        // Nodes differ in where the hierarchies are, and one manifest names the same directory on all of them.
        var directory = named ?? Path.Combine(sysfs, "fs/cgroup");
        var found = Candidates.Select(candidate => Open(Path.Combine(directory, candidate))).FirstOrDefault(found => found is not null);
        return found is null && named is not null
            ? throw new UserInputException($"--cgroups {named}: is no mounted cgroup hierarchy, nor does it hold one: it has no cgroup.procs")
            : found;
    }

    /// <summary>All cgroups by id, with their paths from the root (which is "/").</summary>
    public Dictionary<ulong, string> Scan()
    {
        var found = new Dictionary<ulong, string>();
        var pending = new Stack<string>([Root]);
        while (pending.TryPop(out var directory))
        {
            if (Id(directory) is not { } id)
            {
                Vanished++;
                continue;
            }

            found[id] = directory.Length == Root.Length ? "/" : directory[Root.Length..];
            try
            {
                foreach (var child in Directory.EnumerateDirectories(directory))
                    pending.Push(child);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // Gone while we looked: the next scan knows.
                Vanished++;
            }
        }

        return found;
    }

    /// <summary>
    /// The values of an extended attribute (user.*) on the given cgroups, by id. Empty on a hierarchy that keeps none: the
    /// unified one does since Linux 5.7.
    /// </summary>
    public unsafe Dictionary<ulong, string> Attributes(IReadOnlyDictionary<ulong, string> paths, string name)
    {
        const int Capacity = 64;
        const int NotFound = 2;
        const int OutOfRange = 34;
        const int NotSupported = 95;
        var found = new Dictionary<ulong, string>();
        var value = stackalloc byte[Capacity];
        foreach (var (id, path) in paths)
        {
            var length = LibC.getxattr(Root + path, name, value, Capacity);
            if (length >= 0)
                found[id] = System.Text.Encoding.UTF8.GetString(value, (int)length).TrimEnd('\0');
            else if (Marshal.GetLastPInvokeError() is var error && error == OutOfRange)
                found[id] = "(too long)";
            else if (error == NotFound)
                Vanished++;
            else if (error == NotSupported)
                break;
        }

        return found;
    }

    /// <summary>How many of the given cgroups may use only so much CPU time (Kubernetes: a limit).</summary>
    public int CpuLimited(IEnumerable<string> paths) => paths.Count(path => HasQuota(Root + path));

    // cpu.max is "QUOTA PERIOD" or "max PERIOD"; version 1 writes -1 for none. Neither is in a cgroup without the controller.
    private bool HasQuota(string directory)
    {
        try
        {
            var quota = File.ReadAllText(Path.Combine(directory, Version1 ? "cpu.cfs_quota_us" : "cpu.max")).Split(' ', '\n')[0];
            return quota is not ("max" or "-1" or "");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>The kernel's id of a cgroup; null if the directory is gone.</summary>
    public static unsafe ulong? Id(string directory)
    {
        const int CurrentDirectory = -100;
        const uint Capacity = 128;
        // struct file_handle: size, type, then the handle itself; a cgroup's is its 64-bit id.
        var handle = stackalloc byte[8 + (int)Capacity];
        *(uint*)handle = Capacity;
        int mount;
        return LibC.name_to_handle_at(CurrentDirectory, directory, handle, &mount, 0) == 0 && *(uint*)handle == sizeof(ulong)
            ? MemoryMarshal.Read<ulong>(new ReadOnlySpan<byte>(handle + 8, sizeof(ulong)))
            : null;
    }

    private static CgroupHierarchy? Open(string root)
    {
        root = root.Length > 1 ? root.TrimEnd('/') : root;
        return File.Exists(Path.Combine(root, "cgroup.procs"))
            ? new CgroupHierarchy(root, version1: !File.Exists(Path.Combine(root, "cgroup.controllers")))
            : null;
    }
}
