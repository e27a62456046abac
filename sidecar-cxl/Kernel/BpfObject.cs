using System.Runtime.InteropServices;
using System.Text;

namespace Moebius.Cxl.Kernel;

/// <summary>
/// An eBPF object: opened from memory, adjusted (maps, read-only data, which programs to load), then loaded into the
/// kernel. Disposing unloads it; links must be disposed first.
/// </summary>
internal sealed unsafe class BpfObject : IDisposable
{
    private readonly Dictionary<string, nint> _programs = [];
    private readonly Dictionary<string, nint> _maps = [];
    private nint _handle;

    private BpfObject(nint handle)
    {
        _handle = handle;
        for (nint program = 0; (program = LibBpf.bpf_object__next_program(handle, program)) != 0;)
            _programs[Marshal.PtrToStringUTF8((nint)LibBpf.bpf_program__name(program))!] = program;
        for (nint map = 0; (map = LibBpf.bpf_object__next_map(handle, map)) != 0;)
        {
            // Data sections are named OBJECT.rodata, OBJECT.bss, ...: known here by the end of the section's name.
            var name = Marshal.PtrToStringUTF8((nint)LibBpf.bpf_map__name(map))!;
            _maps[name.LastIndexOf('.') is > 0 and var dot ? name[dot..] : name] = map;
        }
    }

    /// <summary>The version of the loaded libbpf.</summary>
    /// <exception cref="DllNotFoundException">libbpf.so.1 is not installed.</exception>
    public static Version LibraryVersion => new((int)LibBpf.libbpf_major_version(), (int)LibBpf.libbpf_minor_version());

    /// <summary>The names of the programs in the object.</summary>
    public IEnumerable<string> ProgramNames => _programs.Keys;

    /// <summary>The compiled program bpf/NAME.bpf.c; null when the build had no clang.</summary>
    public static byte[]? Embedded(string name)
    {
        using var stream = typeof(BpfObject).Assembly.GetManifestResourceStream($"Moebius.Cxl.bpf.{name}.bpf.o");
        if (stream is null)
            return null;
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    /// <summary>Parses the ELF object in <paramref name="data"/>.</summary>
    /// <exception cref="BpfException">The object is no valid eBPF object.</exception>
    public static BpfObject Open(ReadOnlySpan<byte> data, string name)
    {
        BpfLog.Begin();
        nint handle;
        int error;
        fixed (byte* bytes = data)
        fixed (byte* objectName = Encoding.UTF8.GetBytes(name + "\0"))
        {
            var options = new LibBpf.OpenOptions { Size = (nuint)sizeof(LibBpf.OpenOptions), ObjectName = objectName };
            handle = LibBpf.bpf_object__open_mem(bytes, (nuint)data.Length, &options);
            error = Marshal.GetLastPInvokeError();
        }

        var log = BpfLog.Take();
        return handle == 0 ? throw new BpfException($"opening the eBPF object {name}", error, log) : new BpfObject(handle);
    }

    /// <summary>Leaves a program out when the object is loaded.</summary>
    public void SkipProgram(string name) => Check(LibBpf.bpf_program__set_autoload(Program(name), false), $"skipping the program {name}");

    /// <summary>Sets a map's capacity, before loading.</summary>
    public void SetMapCapacity(string name, uint entries) => Check(LibBpf.bpf_map__set_max_entries(MapHandle(name), entries), $"sizing the map {name}");

    /// <summary>Sets the constants that the programs read from a section (<c>const volatile</c>), before loading.</summary>
    public void SetConstants<T>(string section, in T constants) where T : unmanaged
    {
        nuint size = 0;
        var data = LibBpf.bpf_map__initial_value(MapHandle(section), &size);
        if (data is null || size < (nuint)sizeof(T))
            throw new BpfException($"setting {sizeof(T)} bytes of constants in a section of {size}", BpfException.EINVAL);
        *(T*)data = constants;
    }

    /// <summary>Loads maps and programs into the kernel.</summary>
    /// <exception cref="BpfException">The kernel refused; the exception carries the verifier's log.</exception>
    public void Load()
    {
        BpfLog.Begin();
        var result = LibBpf.bpf_object__load(_handle);
        var log = BpfLog.Take();
        if (result < 0)
            throw new BpfException("loading the eBPF object", -result, log);
    }

    /// <summary>Attaches a loaded program where its section name says.</summary>
    public BpfLink Attach(string name)
    {
        BpfLog.Begin();
        var link = LibBpf.bpf_program__attach(Program(name));
        var error = Marshal.GetLastPInvokeError();
        var log = BpfLog.Take();
        return link == 0 ? throw new BpfException($"attaching the program {name}", error, log) : new BpfLink(link, name);
    }

    /// <summary>Registers a table of operations (struct_ops) with the kernel; it stays for as long as the link does.</summary>
    /// <exception cref="BpfException">The kernel refused, or somebody else holds the place (EBUSY).</exception>
    public BpfLink AttachOperations(string name)
    {
        BpfLog.Begin();
        var link = LibBpf.bpf_map__attach_struct_ops(MapHandle(name));
        var error = Marshal.GetLastPInvokeError();
        var log = BpfLog.Take();
        return link == 0 ? throw new BpfException($"attaching {name}", error, log) : new BpfLink(link, name);
    }

    /// <summary>A loaded map by name.</summary>
    public BpfMap Map(string name) => new(MapHandle(name), name);

    /// <summary>A loaded program's file descriptor, owned by the object.</summary>
    public int Descriptor(string name) => LibBpf.bpf_program__fd(Program(name));

    /// <summary>How often the kernel skipped a program because it was already running on that CPU.</summary>
    public ulong RecursionMisses(string name)
    {
        BpfProgramInfo info = default;
        var length = (uint)sizeof(BpfProgramInfo);
        // The kernel fills as much as it knows: an old one leaves the field 0.
        Check(LibBpf.bpf_obj_get_info_by_fd(LibBpf.bpf_program__fd(Program(name)), &info, &length), $"reading the statistics of {name}");
        return info.RecursionMisses;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_handle != 0)
            LibBpf.bpf_object__close(_handle);
        _handle = 0;
    }

    internal static void Check(int result, string operation)
    {
        if (result < 0)
            throw new BpfException(operation, -result);
    }

    private nint Program(string name) => _programs.TryGetValue(name, out var program) ? program : throw new BpfException($"finding the program {name}", BpfException.ENOENT);

    private nint MapHandle(string name) => _maps.TryGetValue(name, out var map) ? map : throw new BpfException($"finding the map {name}", BpfException.ENOENT);

    /// <summary>struct bpf_prog_info of linux/bpf.h, up to the statistics.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 224)]
    private struct BpfProgramInfo
    {
        [FieldOffset(208)]
        public ulong RecursionMisses;
    }
}
