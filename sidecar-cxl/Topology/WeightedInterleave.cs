namespace Moebius.Cxl.Topology;

/// <summary>
/// The kernel's weighted interleave weights: read, set and put back. What was found is written to the record before
/// anything is changed, so that <see cref="Restore"/> leaves nothing behind, and <see cref="RestoreLeft"/> nothing of an
/// agent that was killed.
/// </summary>
internal sealed class WeightedInterleave(string sysfs, WeightRecord record)
{
    /// <summary>The smallest weight the kernel takes.</summary>
    public const int MinimumWeight = 1;

    /// <summary>The largest weight the kernel takes.</summary>
    public const int MaximumWeight = 255;

    private const string Folder = "kernel/mm/mempolicy/weighted_interleave";

    // The attribute is named `auto`; kernels built with C23 keyword macros show it under the keyword's expansion.
    private static readonly string[] AutomaticNames = ["auto", "__auto_type"];

    private readonly Dictionary<int, int> _found = [];
    private bool? _automaticFound;

    /// <summary>The weights now in force; null where the kernel has none.</summary>
    public static WeightedInterleaveState? Read(SysfsTree tree)
    {
        if (!tree.Exists(Folder))
            return null;
        var weights = new Dictionary<int, int>();
        foreach (var (name, node) in tree.Indexed(Folder, "node", TopologyReader.MostNode))
        {
            if (tree.Number($"{Folder}/{name}", MinimumWeight, MaximumWeight) is { } weight)
                weights[node] = weight;
        }

        return new WeightedInterleaveState(weights, AutomaticNames.Select(name => tree.Text($"{Folder}/{name}")).OfType<string>().FirstOrDefault() switch
        {
            "true" or "1" or "Y" => true,
            "false" or "0" or "N" => false,
            _ => null,
        });
    }

    /// <summary>Sets weights; nodes that were set before and are not now get what was found. A node that the kernel does not have is an error; nothing is changed then.</summary>
    /// <exception cref="IOException">The kernel refused a weight; those set before are put back.</exception>
    public void Apply(IReadOnlyDictionary<int, int> weights)
    {
        var current = Read(new SysfsTree(sysfs)) ?? throw new IOException($"{Folder} is missing: weighted interleave needs Linux 6.9");
        foreach (var (node, weight) in weights)
        {
            if (weight is < MinimumWeight or > MaximumWeight)
                throw new ArgumentOutOfRangeException(nameof(weights), $"node {node}: weight {weight} is outside {MinimumWeight} to {MaximumWeight}");
            if (!current.Weights.ContainsKey(node))
                throw new IOException($"{Folder}/node{node}: no such node; the kernel has {string.Join(", ", current.Weights.Keys.Order())}");
        }

        _automaticFound ??= current.Automatic;
        foreach (var node in weights.Keys)
            _found.TryAdd(node, current.Weights[node]);
        record.Write(new FoundWeights(_found, _automaticFound));
        try
        {
            foreach (var (node, found) in _found)
                Write($"node{node}", $"{weights.GetValueOrDefault(node, found)}");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Restore();
            throw;
        }
    }

    /// <summary>Puts back what <see cref="Apply"/> found. Does nothing if nothing was applied.</summary>
    public void Restore()
    {
        foreach (var (node, weight) in _found)
            Write($"node{node}", $"{weight}");
        // Writing a weight switches the kernel's own computation off; switching it on again discards the weights.
        if (_found.Count > 0 && _automaticFound == true)
            Write(AutomaticNames.First(name => File.Exists(Path.Combine(sysfs, Folder, name))), "true");
        if (_found.Count > 0)
            record.Delete();
        _found.Clear();
        _automaticFound = null;
    }

    /// <summary>Puts back what an agent found that was killed; gives the weights, or null if there was nothing.</summary>
    /// <exception cref="IOException">The record makes no sense, or the kernel refused a weight.</exception>
    public IReadOnlyDictionary<int, int>? RestoreLeft()
    {
        if (record.Read() is not { } left)
            return null;
        foreach (var (node, weight) in left.Weights)
            _found[node] = weight;
        _automaticFound = left.Automatic;
        Restore();
        return left.Weights;
    }

    private void Write(string name, string value) => File.WriteAllText(Path.Combine(sysfs, Folder, name), value + "\n");
}
