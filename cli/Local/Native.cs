using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Moebius.Cli.Local;

/// <summary>The few system calls that .NET has no name for.</summary>
internal static partial class Native
{
    private const int Sigkill = 9;
    private const int Sigterm = 15;
    private const int CurrentDirectory = -100;
    private const int NoFollow = 0x100;
    private const uint TypeAndOwner = 0x1 | 0x8;
    private const int CloseOnExec = 0x80000;
    private const int WriteCreateAppend = 0x1 | 0x40 | 0x400;
    private const uint FirstOwnDescriptor = 3;
    private const int RangeCloseOnExec = 4;

    /// <summary>Asks a process to stop.</summary>
    public static void Terminate(int process) => _ = Signal(process, Sigterm);

    /// <summary>Ends a process that does not stop.</summary>
    public static void Kill(int process) => _ = Signal(process, Sigkill);

    /// <summary>Whatever this process was given open beyond the standard streams, its children are not: somebody may wait until all have closed it.</summary>
    /// <exception cref="IOException">The kernel does not do it.</exception>
    public static void KeepDescriptors()
    {
        if (CloseRange(FirstOwnDescriptor, uint.MaxValue, RangeCloseOnExec) != 0)
            throw new IOException($"open files cannot be kept from child processes: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    /// <summary>Leaves the terminal's session and sends all further output to a file, so that whoever waits for ours is not kept waiting.</summary>
    public static void Detach(string logFile)
    {
        _ = SetSession();
        var log = Open(logFile, WriteCreateAppend | CloseOnExec, 384 /* 0600 */);
        if (log < 0)
            throw new IOException($"{logFile}: cannot be opened (errno {Marshal.GetLastPInvokeError()})");
        // The runtime keeps duplicates of the standard streams: whoever reads a pipe waits for every one of them.
        var old = new HashSet<string?> { Target("1"), Target("2") };
        var duplicates = Directory.EnumerateFileSystemEntries("/proc/self/fd").Select(Path.GetFileName).Where(name => old.Contains(Target(name!))).ToList();
        foreach (var name in duplicates)
            _ = Duplicate(log, int.Parse(name!, CultureInfo.InvariantCulture));
        var none = Open("/dev/null", CloseOnExec, 0);
        _ = Duplicate(none, 0);
    }

    /// <summary>Makes a directory that only its owner may enter.</summary>
    /// <exception cref="IOException">It cannot be made, or something of that name is there: it may be somebody else's.</exception>
    public static void MakeDirectory(string path)
    {
        if (MakeDirectory(path, 448 /* 0700 */) != 0)
            throw new IOException($"{path}: cannot be made: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    /// <summary>Whether a path is a directory, not a link to one, that belongs to this user.</summary>
    public static bool IsOwnDirectory(string path)
    {
        // struct statx, the same on every machine: the user at byte 20, type and mode at byte 28.
        Span<byte> entry = stackalloc byte[256];
        return Describe(CurrentDirectory, path, NoFollow, TypeAndOwner, entry) == 0
            && BinaryPrimitives.ReadUInt32LittleEndian(entry[20..]) == User()
            && (BinaryPrimitives.ReadUInt16LittleEndian(entry[28..]) & 0xf000) == 0x4000;
    }

    private static string? Target(string descriptor) => new FileInfo($"/proc/self/fd/{descriptor}").LinkTarget;

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Signal(int process, int signal);

    [LibraryImport("libc", EntryPoint = "close_range", SetLastError = true)]
    private static partial int CloseRange(uint first, uint last, int flags);

    [LibraryImport("libc", EntryPoint = "setsid")]
    private static partial int SetSession();

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int Open(string path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "mkdir", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int MakeDirectory(string path, int mode);

    [LibraryImport("libc", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Describe(int directory, string path, int flags, uint mask, Span<byte> entry);

    [LibraryImport("libc", EntryPoint = "geteuid")]
    private static partial uint User();

    [LibraryImport("libc", EntryPoint = "dup2")]
    private static partial int Duplicate(int from, int to);
}
