using System.Text.Json;
using System.Text.Json.Serialization;
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
        Content content;
        try
        {
            content = JsonSerializer.Deserialize(File.ReadAllBytes(Path), WeightRecordJson.Default.Content) is { Boot: not null, Weights: not null } read ? read : throw new JsonException("boot or weights are null");
            foreach (var (node, weight) in content.Weights)
            {
                if (node < 0 || weight is < WeightedInterleave.MinimumWeight or > WeightedInterleave.MaximumWeight)
                    throw new JsonException($"node {node} has the weight {weight}");
            }
        }
        catch (JsonException error)
        {
            throw new IOException($"{Path} makes no sense ({error.Message}); delete the file if the weights are right", error);
        }

        if (content.Boot == _boot)
            return new FoundWeights(content.Weights, content.Automatic);
        Delete();
        return null;
    }

    /// <summary>Writes the record; it is on disk when this returns.</summary>
    public void Write(FoundWeights found)
    {
        var content = new Content(_boot, found.Automatic, found.Weights.ToDictionary());
        DurableFile.Replace(Path, file => JsonSerializer.Serialize(file, content, WeightRecordJson.Default.Content));
    }

    /// <summary>Forgets what was found: it is in force again.</summary>
    public void Delete()
    {
        File.Delete(Path);
        DurableFile.SyncDirectory(_directory);
    }

    /// <inheritdoc/>
    public void Dispose() => _hold.Dispose();

    internal sealed record Content([property: JsonRequired] string Boot, bool? Automatic, [property: JsonRequired] Dictionary<int, int> Weights);
}

/// <summary>Made when the project is built: the virtual machine's driver is compiled ahead of time, without reflection.</summary>
[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Web, PropertyNameCaseInsensitive = false, NumberHandling = JsonNumberHandling.Strict,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(WeightRecord.Content))]
internal sealed partial class WeightRecordJson : JsonSerializerContext;
