namespace Moebius.Cxl.Kernel;

/// <summary>A loaded eBPF map. Keys and values are unmanaged structures of exactly the map's sizes.</summary>
internal sealed unsafe class BpfMap
{
    private static readonly Lazy<int> Cpus = new(LibBpf.libbpf_num_possible_cpus);
    private readonly string _name;
    private readonly uint _keySize;
    private readonly uint _valueSize;

    public BpfMap(nint handle, string name)
    {
        _name = name;
        Descriptor = LibBpf.bpf_map__fd(handle);
        _keySize = LibBpf.bpf_map__key_size(handle);
        _valueSize = LibBpf.bpf_map__value_size(handle);
    }

    /// <summary>The CPUs a per-CPU value has slots for (possible, not only online).</summary>
    public static int PossibleCpus => Cpus.Value;

    /// <summary>The map's file descriptor, owned by the object.</summary>
    public int Descriptor { get; }

    /// <summary>All keys at about this moment; entries that come or go meanwhile may be missed.</summary>
    public List<TKey> Keys<TKey>() where TKey : unmanaged
    {
        CheckSize(sizeof(TKey), _keySize, "keys");
        var keys = new List<TKey>();
        TKey current, next;
        var result = LibBpf.bpf_map_get_next_key(Descriptor, null, &next);
        while (result == 0)
        {
            keys.Add(next);
            current = next;
            result = LibBpf.bpf_map_get_next_key(Descriptor, &current, &next);
        }

        return result == -BpfException.ENOENT ? keys : throw new BpfException($"listing the map {_name}", -result);
    }

    /// <summary>The values of <paramref name="key"/> on every possible CPU; false if the key is not there.</summary>
    public bool TryReadPerCpu<TKey, TValue>(TKey key, Span<TValue> perCpu) where TKey : unmanaged where TValue : unmanaged
    {
        CheckSize(sizeof(TKey), _keySize, "keys");
        CheckSize(sizeof(TValue), _valueSize, "values");
        if (perCpu.Length != PossibleCpus || sizeof(TValue) % 8 != 0)
            throw new ArgumentException($"needs {PossibleCpus} values of a multiple of 8 bytes, has {perCpu.Length} of {sizeof(TValue)}", nameof(perCpu));
        fixed (TValue* values = perCpu)
            return Found(LibBpf.bpf_map_lookup_elem(Descriptor, &key, values), "reading");
    }

    /// <summary>The value of <paramref name="key"/> in a map that is not per CPU; false if the key is not there.</summary>
    public bool TryRead<TKey, TValue>(TKey key, out TValue value) where TKey : unmanaged where TValue : unmanaged
    {
        CheckSize(sizeof(TKey), _keySize, "keys");
        CheckSize(sizeof(TValue), _valueSize, "values");
        fixed (TValue* result = &value)
            return Found(LibBpf.bpf_map_lookup_elem(Descriptor, &key, result), "reading");
    }

    /// <summary>Writes a value; creates the key or replaces it.</summary>
    public void Write<TKey, TValue>(TKey key, TValue value) where TKey : unmanaged where TValue : unmanaged
    {
        CheckSize(sizeof(TKey), _keySize, "keys");
        CheckSize(sizeof(TValue), _valueSize, "values");
        BpfObject.Check(LibBpf.bpf_map_update_elem(Descriptor, &key, &value, 0), $"writing the map {_name}");
    }

    /// <summary>Removes a key; false if it was not there.</summary>
    public bool Remove<TKey>(TKey key) where TKey : unmanaged
    {
        CheckSize(sizeof(TKey), _keySize, "keys");
        return Found(LibBpf.bpf_map_delete_elem(Descriptor, &key), "removing from");
    }

    private bool Found(int result, string operation) => result switch
    {
        0 => true,
        -BpfException.ENOENT => false,
        _ => throw new BpfException($"{operation} the map {_name}", -result),
    };

    private void CheckSize(int given, uint expected, string what)
    {
        if (given != expected)
            throw new ArgumentException($"the map {_name} has {what} of {expected} bytes, not {given}");
    }
}
