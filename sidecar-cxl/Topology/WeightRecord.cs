using System.Globalization;
using System.Text;
using Moebius.Crds.Host;
using Moebius.Cxl.Kernel;

namespace Moebius.Cxl.Topology;

/// <summary>Interleave weights as they were before an agent changed them.</summary>
/// <param name="Weights">By node.</param>
/// <param name="Automatic">Whether the kernel computed them itself; null where it cannot.</param>
internal sealed record FoundWeights(IReadOnlyDictionary<int, int> Weights, bool? Automatic);

/// <summary>
/// Found weights in a file, so that they can be put back after the agent that changed them was killed. Whoever has the
/// record open is the one that may change weights. Weights end with a boot, so the record says of which boot it is.
/// </summary>
internal sealed class WeightRecord : IDisposable
{
    private const string FileName = "interleave-weights";
    private readonly string _directory;
    private readonly string _boot;
    private readonly FileStream _hold;

    private WeightRecord(string directory, string boot, FileStream hold) => (_directory, _boot, _hold) = (directory, boot, hold);

    private string Path => System.IO.Path.Combine(_directory, FileName);

    /// <summary>Whether a directory holds a record: an agent has changed weights, and runs or was killed.</summary>
    public static bool Exists(string directory) => File.Exists(System.IO.Path.Combine(directory, FileName));

    /// <summary>Opens the record in a directory, which is made if it is missing. Null while another agent has it open.</summary>
    /// <exception cref="IOException">The directory cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The directory cannot be written.</exception>
    public static WeightRecord? TryOpen(string directory, string procfs)
    {
        Directory.CreateDirectory(directory);
        try
        {
            // Held until this process ends, however it ends.
            var hold = new FileStream(System.IO.Path.Combine(directory, FileName + ".lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            return new WeightRecord(directory, new SysfsTree(procfs).Text("sys/kernel/random/boot_id") ?? "unknown", hold);
        }
        catch (IOException error) when (error.HResult == BpfException.EAGAIN)
        {
            return null;
        }
    }

    /// <summary>What an agent left that was killed; null if there is nothing to put back.</summary>
    /// <exception cref="IOException">The file is there and makes no sense.</exception>
    public FoundWeights? Read()
    {
        if (!File.Exists(Path))
            return null;
        var weights = new Dictionary<int, int>();
        bool? automatic = null;
        string? writtenIn = null;
        foreach (var line in File.ReadAllLines(Path))
        {
            switch (line.Split(' '))
            {
                case ["boot", var id]:
                    writtenIn = id;
                    break;
                case ["auto", var value] when bool.TryParse(value, out var on):
                    automatic = on;
                    break;
                case ["node", var node, var weight] when Number(node, 0, int.MaxValue) is { } id && Number(weight, WeightedInterleave.MinimumWeight, WeightedInterleave.MaximumWeight) is { } value:
                    weights[id] = value;
                    break;
                default:
                    throw new IOException($"{Path}: '{line}' makes no sense; delete the file if the weights are right");
            }
        }

        if (writtenIn == _boot)
            return new FoundWeights(weights, automatic);
        Delete();
        return null;
    }

    /// <summary>Writes the record; it is on disk when this returns.</summary>
    public void Write(FoundWeights found)
    {
        var text = new StringBuilder($"boot {_boot}\n");
        if (found.Automatic is { } automatic)
            text.Append(automatic ? "auto true\n" : "auto false\n");
        foreach (var (node, weight) in found.Weights.OrderBy(pair => pair.Key))
            text.Append(CultureInfo.InvariantCulture, $"node {node} {weight}\n");
        DurableFile.Replace(Path, file => file.Write(Encoding.UTF8.GetBytes(text.ToString())));
    }

    /// <summary>Forgets what was found: it is in force again.</summary>
    public void Delete()
    {
        File.Delete(Path);
        DurableFile.SyncDirectory(_directory);
    }

    /// <inheritdoc/>
    public void Dispose() => _hold.Dispose();

    private static int? Number(string text, int minimum, int maximum) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= minimum && number <= maximum ? number : null;
}
