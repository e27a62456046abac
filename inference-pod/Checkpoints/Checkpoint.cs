using System.Text.Json;
using Moebius.Crds;
using Moebius.Crds.Host;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Inference.Checkpoints;

/// <summary>
/// The weights of a directory in Hub layout: <c>model.safetensors</c>, or the shards that
/// <c>model.safetensors.index.json</c> lists.
/// </summary>
internal sealed class Checkpoint : IDisposable
{
    /// <summary>All weights in one file.</summary>
    public const string Single = "model.safetensors";

    /// <summary>Says which shard holds which tensor.</summary>
    public const string Index = "model.safetensors.index.json";

    private readonly Dictionary<string, (SafetensorsFile File, TensorEntry Entry)> _tensors = new(StringComparer.Ordinal);
    private readonly List<SafetensorsFile> _files = [];
    private readonly SlowTier _tier;

    private Checkpoint(string directory, SlowTier tier, Fp8Blocks? fp8) => (Directory, _tier, Fp8) = (directory, tier, fp8);

    public string Directory { get; }

    public IReadOnlyList<SafetensorsFile> Files => _files;

    public IReadOnlyCollection<string> Names => _tensors.Keys;

    /// <summary>Which weights in fp8 share a scale; null where the configuration does not say, and there may be none.</summary>
    public Fp8Blocks? Fp8 { get; }

    /// <summary>Opens all files of a directory.</summary>
    /// <param name="directory">The directory.</param>
    /// <param name="tier">How their bytes are read.</param>
    /// <param name="fp8">What the configuration says of weights in fp8.</param>
    public static Checkpoint Open(string directory, SlowTier tier = SlowTier.DirectIO, Fp8Blocks? fp8 = null)
    {
        var checkpoint = new Checkpoint(directory, tier, fp8);
        try
        {
            var index = Path.Combine(directory, Index);
            if (File.Exists(index))
                checkpoint.OpenShards(index);
            else if (File.Exists(Path.Combine(directory, Single)))
                checkpoint.Add(Path.Combine(directory, Single));
            else
                throw new UserInputException($"{directory}: holds neither {Single} nor {Index}; a model directory needs one of them");
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    public bool Contains(string name) => _tensors.ContainsKey(name);

    /// <summary>The file and entry of a tensor, or an error that says it is missing.</summary>
    public (SafetensorsFile File, TensorEntry Entry) Find(string name) =>
        _tensors.TryGetValue(name, out var found)
            ? found
            : throw new UserInputException($"{Directory}: tensor \"{name}\" is missing; config.json asks for it{OtherForm(name)}");

    /// <summary>As <see cref="Find(string)"/>, and the tensor must have this shape and a floating type that is supported.</summary>
    public (SafetensorsFile File, TensorEntry Entry) Find(string name, params ReadOnlySpan<long> shape)
    {
        var found = CheckShape(name, shape);
        if (found.Entry.Type is not (TensorType.F32 or TensorType.F16 or TensorType.BF16))
            throw new UserInputException($"{found.File.Path}: tensor \"{name}\" has dtype {found.Entry.Type.Name()}; supported are F32, F16 and BF16" + (found.Entry.Type == TensorType.F8E4M3 ? ", and F8_E4M3 for matrices where quantization_config in config.json says fp8" : ""));
        return found;
    }

    /// <summary>As <see cref="Find(string)"/>, and the tensor must have this shape and be of bytes.</summary>
    public (SafetensorsFile File, TensorEntry Entry) FindBytes(string name, params ReadOnlySpan<long> shape)
    {
        var found = CheckShape(name, shape);
        return found.Entry.Type == TensorType.U8
            ? found
            : throw new UserInputException($"{found.File.Path}: tensor \"{name}\" has dtype {found.Entry.Type.Name()}; mxfp4 is stored as U8");
    }

    /// <summary>As <see cref="Find(string)"/>, and the tensor must have this shape.</summary>
    public (SafetensorsFile File, TensorEntry Entry) CheckShape(string name, params ReadOnlySpan<long> shape)
    {
        var found = Find(name);
        return found.Entry.Shape.AsSpan().SequenceEqual(shape)
            ? found
            : throw new UserInputException($"{found.File.Path}: tensor \"{name}\" has shape {found.Entry.ShapeText}; config.json asks for {TensorEntry.Text(shape.ToArray())}");
    }

    public void Dispose()
    {
        foreach (var file in _files)
            file.Dispose();
    }

    /// <summary>The file of each tensor.</summary>
    /// <param name="index">Path of the index.</param>
    /// <exception cref="UserInputException">It is damaged, or names a file elsewhere.</exception>
    public static IReadOnlyDictionary<string, string> ReadIndex(string index)
    {
        try
        {
            using var document = JsonDocument.Parse(FileKinds.ReadAllBytes(index));
            if (document.RootElement.ValueKind != JsonValueKind.Object
                || !document.RootElement.TryGetProperty("weight_map", out var weights) || weights.ValueKind != JsonValueKind.Object)
                throw new UserInputException($"{index}: weight_map is absent; it must map each tensor to its file");
            var map = weights.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString() ?? "", StringComparer.Ordinal);
            var elsewhere = map.Values.FirstOrDefault(shard => shard.Length == 0 || shard != Path.GetFileName(shard));
            return elsewhere is null ? map : throw new UserInputException($"{index}: weight_map names the file \"{elsewhere}\"; shards must lie in the same directory");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            throw new UserInputException($"{index}: not a valid index ({e.Message.ReplaceLineEndings(" ")})", e);
        }
    }

    /// <summary>Where a tensor is missing because the weights are in another form than the configuration says.</summary>
    private string OtherForm(string name)
    {
        var plain = name.EndsWith(Mxfp4Matrix.Blocks, StringComparison.Ordinal) ? name[..^Mxfp4Matrix.Blocks.Length] : "";
        return Contains(name + Mxfp4Matrix.Blocks) ? $" (\"{name}{Mxfp4Matrix.Blocks}\" is there: weights in mxfp4 need a quantization_config that says so)"
            : Contains(plain) ? $" (\"{plain}\" is there: weights that are not in mxfp4 need no quantization_config)"
            : "";
    }

    private void OpenShards(string index)
    {
        var map = ReadIndex(index);
        foreach (var shard in map.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))
        {
            var path = Path.Combine(Directory, shard);
            if (!File.Exists(path))
                throw new UserInputException($"{index}: shard {shard} is missing; weight_map places {map.Values.Count(v => v == shard)} tensors in it");
            Add(path);
        }
        foreach (var (name, shard) in map)
        {
            if (!_tensors.TryGetValue(name, out var found) || Path.GetFileName(found.File.Path) != shard)
                throw new UserInputException($"{index}: weight_map places \"{name}\" in {shard}, which does not hold it");
        }
    }

    private void Add(string path)
    {
        var file = SafetensorsFile.Open(path, _tier);
        _files.Add(file);
        foreach (var entry in file.Entries)
        {
            if (!_tensors.TryAdd(entry.Name, (file, entry)))
                throw new UserInputException($"{path}: tensor \"{entry.Name}\" is also in {Path.GetFileName(_tensors[entry.Name].File.Path)}; it must be in one shard only");
        }
    }
}
