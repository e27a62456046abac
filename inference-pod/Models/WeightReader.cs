using System.Runtime.InteropServices;
using Moebius.Crds;
using Moebius.Inference.Checkpoints;
using Moebius.Inference.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Moebius.Inference.Models;

/// <summary>Reads dense weights into tensors and remembers which names were asked for.</summary>
internal sealed unsafe class WeightReader(Checkpoint checkpoint, bool keepBFloat16)
{
    private const int ReadBytes = 4 << 20;

    /// <summary>Matrices share pieces of memory of this many elements: alone, most are smaller than a huge page.</summary>
    private const long SlabElements = 16 << 20;

    private readonly HashSet<string> _used = new(StringComparer.Ordinal);
    private readonly Dictionary<ScalarType, (Tensor Slab, long Used)> _slabs = [];

    public Checkpoint Checkpoint => checkpoint;

    public void MarkUsed(IEnumerable<string> names) => _used.UnionWith(names);

    /// <summary><c>{name}.weight</c> [outputs, inputs] and, if asked, <c>{name}.bias</c>.</summary>
    public LinearWeight Linear(string name, int outputs, int inputs, bool bias = false)
    {
        var data = Read($"{name}.weight", keepBFloat16, outputs, inputs);
        return new LinearWeight(data, bias ? Vector($"{name}.bias", outputs) : null);
    }

    /// <summary>A vector in fp32.</summary>
    public Tensor Vector(string name, int length) => Read(name, keep: false, length);

    /// <summary>A matrix in fp32, for weights that are rearranged at load.</summary>
    public Tensor Matrix(string name, int rows, int columns) => Read(name, keep: false, rows, columns);

    /// <summary>
    /// A weight that nothing reads means that the configuration does not describe this checkpoint: refused, because
    /// the model would run and answer nonsense.
    /// </summary>
    public void CheckAllUsed(string architecture, int layers, bool tied)
    {
        foreach (string name in checkpoint.Names.Order(StringComparer.Ordinal))
        {
            bool ignorable = name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal)
                || (tied && name == "lm_head.weight")
                || (LayerOf(name) is int layer && layer >= layers); // Multi-token-prediction layers after the last.
            if (!_used.Contains(name) && !ignorable)
                throw new UserInputException($"{checkpoint.Find(name).File.Path}: tensor \"{name}\" has no place in {architecture} as config.json describes it; a switch in config.json is missing or the file belongs to another model");
        }
    }

    private static int? LayerOf(string name)
    {
        const string Prefix = "model.layers.";
        if (!name.StartsWith(Prefix, StringComparison.Ordinal))
            return null;
        int end = name.IndexOf('.', Prefix.Length);
        return end > 0 && int.TryParse(name.AsSpan(Prefix.Length, end - Prefix.Length), out int layer) ? layer : null;
    }

    /// <summary>A tensor of its own, or a view of a slab, which lives as long as one of its views.</summary>
    private Tensor Allocate(ScalarType type, long[] shape)
    {
        long count = shape.Aggregate(1L, (product, size) => product * size);
        if (count > SlabElements / 4)
        {
            var own = torch.empty(shape, dtype: type);
            own.AdviseHugePages();
            return own;
        }
        if (!_slabs.TryGetValue(type, out var slab) || slab.Used + count > SlabElements)
        {
            slab = (torch.empty([SlabElements], dtype: type), 0);
            slab.Slab.AdviseHugePages();
        }
        _slabs[type] = (slab.Slab, (slab.Used + count + 31) / 32 * 32);
        return slab.Slab.narrow(0, slab.Used, count).view(shape);
    }

    private Tensor Read(string name, bool keep, params ReadOnlySpan<long> shape)
    {
        var (file, entry) = checkpoint.Find(name, shape);
        _used.Add(name);
        bool stored = entry.Type == TensorType.F32 || (keep && entry.Type == TensorType.BF16);
        var tensor = Allocate(stored && entry.Type == TensorType.BF16 ? ScalarType.BFloat16 : ScalarType.Float32, shape.ToArray());
        byte* destination = tensor.Address();
        long others = 0;
        byte[] buffer = stored ? [] : new byte[(int)Math.Min(ReadBytes, entry.Length)];
        for (long at = 0; at < entry.Length;)
        {
            int bytes = (int)Math.Min(ReadBytes, entry.Length - at);
            if (stored)
            {
                var raw = new Span<byte>(destination + at, bytes);
                file.Read(entry, at, raw);
                others += FiniteWeights.CountOthers(raw, entry.Type);
            }
            else
            {
                file.Read(entry, at, buffer.AsSpan(0, bytes));
                others += FiniteWeights.CountOthers(buffer.AsSpan(0, bytes), entry.Type);
                var halves = MemoryMarshal.Cast<byte, ushort>(buffer.AsSpan(0, bytes));
                float* floats = (float*)destination + at / 2;
                for (int i = 0; i < halves.Length; i++)
                    floats[i] = HalfTypes.ToSingle(halves[i], entry.Type);
            }
            at += bytes;
        }
        FiniteWeights.Check(file.Path, name, others, entry.Elements);
        return tensor;
    }
}
