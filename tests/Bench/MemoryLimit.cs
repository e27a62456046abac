using System.Globalization;
using Moebius.Crds;

namespace Moebius.Bench;

/// <summary>
/// A control group with a memory limit, page cache included, for programs started in it. Removed with this object,
/// after what ran in it has ended.
/// </summary>
internal sealed class MemoryLimit : IDisposable
{
    private readonly string _folder;
    private readonly bool _unified;

    /// <param name="bytes">The limit.</param>
    /// <exception cref="UserInputException">There is no control group to make here.</exception>
    public MemoryLimit(long bytes)
    {
        _unified = !Directory.Exists("/sys/fs/cgroup/memory");
        _folder = $"{(_unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory")}/moebius-bench-{Environment.ProcessId}-{Interlocked.Increment(ref _number)}";
        try
        {
            Directory.CreateDirectory(_folder);
            File.WriteAllText(Path.Combine(_folder, _unified ? "memory.max" : "memory.limit_in_bytes"), bytes.ToString(CultureInfo.InvariantCulture));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new UserInputException($"{_folder}: a memory limit cannot be set: {error.Message} (it needs root and the memory controller)", error);
        }
    }

    private static int _number;

    /// <summary>The most memory that the group held at once, page cache included.</summary>
    public long Peak => long.Parse(File.ReadAllText(Path.Combine(_folder, _unified ? "memory.peak" : "memory.max_usage_in_bytes")), CultureInfo.InvariantCulture);

    /// <summary>Gives the memory of file pages back to the machine, so that nobody begins with a warm cache.</summary>
    public static void DropPageCache()
    {
        LibC.sync();
        File.WriteAllText("/proc/sys/vm/drop_caches", "3");
    }

    /// <summary>Arguments of <c>/bin/sh</c> that start a program inside the group; the program's own follow.</summary>
    public string[] Wrap(string program) => ["-c", $"echo $$ > {_folder}/cgroup.procs && exec \"$0\" \"$@\"", program];

    public void Dispose()
    {
        for (var attempt = 0; attempt < 50 && Directory.Exists(_folder); attempt++)
        {
            try
            {
                Directory.Delete(_folder);
            }
            catch (IOException)
            {
                // The kernel needs a moment after the last process is gone.
                Thread.Sleep(20);
            }
        }
    }

    private static class LibC
    {
#pragma warning disable SYSLIB1054 // One call without arguments.
        [System.Runtime.InteropServices.DllImport("libc")]
        public static extern void sync();
#pragma warning restore SYSLIB1054
    }
}
