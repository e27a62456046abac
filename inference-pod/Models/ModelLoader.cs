using System.Security.Cryptography;
using Moebius.Crds;
using Moebius.Crds.Host;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Checkpoints;
using Moebius.Inference.Experts;
using Moebius.Inference.Kernels;
using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Models;

/// <summary>Loads models in Hub layout: <c>config.json</c> beside <c>model.safetensors</c> or its shards.</summary>
public static class ModelLoader
{
    /// <summary>Bumped when keys and values of the same weights change their bytes or their layout.</summary>
    private const string KvLayout = "moebius-kv-2-f32";

    /// <summary>Loads a model.</summary>
    /// <param name="directory">The directory.</param>
    /// <param name="options">Budget, threads and sizes.</param>
    /// <returns>The model; dispose it to free its memory and files.</returns>
    /// <exception cref="UserInputException">
    /// The directory, its configuration, a weight file or an option cannot be honoured; the message names it.
    /// </exception>
    public static ICausalModel Load(string directory, ModelLoadOptions options)
    {
        ArgumentNullException.ThrowIfNull(directory);
        ArgumentNullException.ThrowIfNull(options);
        if (options.Threads is < 1 or > ServingSpec.MostThreads)
            throw new UserInputException($"--threads: {options.Threads} is out of range: from 1 to {ServingSpec.MostThreads}");
        if (options.BlockTokens is < 1 or > 1024)
            throw new UserInputException($"block tokens is {options.BlockTokens}; it must be from 1 to 1024");
        if (options.Readers is < 1 or > 64)
            throw new UserInputException($"readers is {options.Readers}; it must be from 1 to 64");
        var config = ModelConfig.Read(directory);
        var spec = Architectures.Describe(config);
        var checkpoint = Checkpoint.Open(directory, options.SlowTier, spec.Fp8);
        ExpertStore? store = null;
        var memory = new WeightMemory();
        try
        {
            var weights = new WeightReader(checkpoint, memory, options.Weights == WeightStorage.Stored);
            var fingerprint = new WeightFingerprint(checkpoint);
            var catalog = Catalog(spec, checkpoint, options.Weights, options.Quantization);
            // Now that they are known to be there: names alone could take any amount of memory.
            weights.MarkUsed(ExpertNames(spec));
            // Where all experts fit there is nothing to load ahead; a file that is named is read all the same, so that a wrong one is not passed over.
            var all = options.ExpertBudgetBytes is not { } budget || budget >= catalog.TotalBytes;
            var ahead = options.Prefetch is null && options.PrefetchSpec.Mode != PrefetchMode.OnDemand;
            var learned = ahead && !(all && options.Predictor is null) ? Learned(options, directory) : null;
            var made = ahead && !(all && learned is null) ? Policy(catalog, spec, options, learned) : null;
            var policy = options.Prefetch ?? (all ? null : made);
            store = new ExpertStore(catalog, Source(catalog, checkpoint, fingerprint, options), options.ExpertBudgetBytes, options.Readers, options.AheadAtOnce, directory, policy?.NextUse, policy?.Residency);
            var info = Describe(spec, config, fingerprint, options, directory) with
            {
                ExpertCount = catalog.Count,
                ExpertBytes = catalog.TotalBytes,
                ExpertTier = catalog.Count == 0 ? "" : store.Description + (all && ahead ? $"; all are resident, so that prefetch {options.PrefetchSpec.Mode} has nothing to do" : learned is null ? "" : $"; the predictor begins with {learned}"),
            };
            var model = new Decoder(spec, info, new TensorKernels(new Workers(options.Threads)) { ExpertTileBytes = options.ExpertTileBytes }, weights, store, policy,
                layer => options.Progress?.Report(new ModelLoadProgress("layers", layer + 1, spec.Layers)));
            weights.CheckAllUsed(spec);
            store.Preload((done, total) => options.Progress?.Report(new ModelLoadProgress("experts", done, total)));
            return model;
        }
        catch
        {
            store?.Dispose();
            memory.Dispose();
            checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>The experts of a checkpoint and how they are read.</summary>
    internal static ExpertCatalog Catalog(DecoderSpec spec, Checkpoint checkpoint, WeightStorage storage, ExpertQuantization quantization)
    {
        var layers = MoeLayers(spec);
        if (layers.Length == 0)
            return new ExpertCatalog(new ExpertLayout(spec.Hidden, 1, WeightFormat.Float32, false), [], 0);
        var first = layers[0].Moe;
        // What is in fp8, and in the bytes of mxfp4, becomes bf16.
        var keep = storage == WeightStorage.Stored && ExpertNames(spec).All(n => checkpoint.Find(n).Entry.Type is TensorType.BF16 or TensorType.F8E4M3 or TensorType.U8);
        var format = quantization switch
        {
            ExpertQuantization.None => keep ? WeightFormat.BFloat16 : WeightFormat.Float32,
            ExpertQuantization.Int8 => WeightFormat.Int8,
            ExpertQuantization.Int4 => WeightFormat.Int4,
            _ => throw new ArgumentOutOfRangeException(nameof(quantization), quantization, "not a quantisation"),
        };
        var layout = new ExpertLayout(spec.Hidden, first.Intermediate, format, first.Naming.HasBiases);
        if (layout.Bytes > int.MaxValue)
            throw new UserInputException($"{checkpoint.Directory}: one expert takes {layout.Bytes} bytes; the largest supported is {int.MaxValue}");
        var reads = layers.Select(l => (IReadOnlyList<IReadOnlyList<ExpertRead>>)[.. Enumerable.Range(0, l.Moe.Router.Experts)
            .Select(e => l.Moe.Naming.Reads(checkpoint, l.Prefix, l.Moe.Router.Experts, e, layout))]).ToArray();
        var most = reads.SelectMany(layer => layer).SelectMany(expert => expert).Max(read => Math.Max(read.Bytes, read.ScratchBytes));
        if (most > Array.MaxLength)
            throw new UserInputException($"{checkpoint.Directory}: a part of an expert takes {most} bytes as it is stored; the largest supported is {Array.MaxLength}");
        return new ExpertCatalog(layout, reads, first.Router.TopK);
    }

    /// <summary>The tensors that hold routed experts.</summary>
    internal static IEnumerable<string> ExpertNames(DecoderSpec spec) =>
        MoeLayers(spec).SelectMany(l => l.Moe.Naming.Tensors(l.Prefix, l.Moe.Router.Experts));

    private static (MoeSpec Moe, string Prefix)[] MoeLayers(DecoderSpec spec) =>
        [.. spec.FeedForward.Select((block, i) => (Moe: block as MoeSpec, Prefix: $"model.layers.{i}.")).Where(l => l.Moe is not null).Select(l => (l.Moe!, l.Prefix))];

    /// <summary>The pack beside the model where there is one, and otherwise the checkpoint itself.</summary>
    private static IExpertSource Source(ExpertCatalog catalog, Checkpoint checkpoint, WeightFingerprint fingerprint, ModelLoadOptions options)
    {
        var pack = options.Pack ?? (File.Exists(ExpertPack.DefaultPath(checkpoint.Directory, catalog.Layout)) ? ExpertPack.DefaultPath(checkpoint.Directory, catalog.Layout) : null);
        return pack is null || catalog.Count == 0
            ? new CheckpointExperts(catalog, checkpoint)
            : PackedExperts.Open(pack, catalog, fingerprint, options.SlowTier);
    }

    /// <summary>What was learned before: the file given, or the one beside the model.</summary>
    private static string? Learned(ModelLoadOptions options, string directory)
    {
        var beside = Path.Combine(directory, PredictorFile.DefaultName);
        return options.Predictor ?? (File.Exists(beside) ? beside : null);
    }

    private static IPrefetchPolicy? Policy(ExpertCatalog catalog, DecoderSpec spec, ModelLoadOptions options, string? learned) =>
        PrefetchPolicies.Create(options.PrefetchSpec, Routing(catalog, spec), learned);

    /// <summary>What a predictor of the model's routing is for.</summary>
    internal static RoutingShape Routing(ExpertCatalog catalog, DecoderSpec spec) =>
        new(catalog.PerLayer.Count, catalog.PerLayer.Max(layer => layer.Count), catalog.TopK, spec.Vocabulary);

    private static ModelInfo Describe(DecoderSpec spec, ModelConfig config, WeightFingerprint fingerprint, ModelLoadOptions options, string directory)
    {
        var end = new HashSet<int>(config.Integers("eos_token_id"));
        var generation = Path.Combine(directory, "generation_config.json");
        if (File.Exists(generation))
            end.UnionWith(ModelConfig.Parse(generation, FileKinds.ReadAllBytes(generation)).Integers("eos_token_id"));
        return new ModelInfo(
            spec.Architecture,
            spec.Vocabulary,
            spec.Context,
            spec.Layers,
            end,
            options.BlockTokens,
            BlockBytes(config, spec, options.BlockTokens),
            KvFingerprint(config, fingerprint, options))
        {
            KvSharedUpTo = spec.Rope.SharedUpTo,
        };
    }

    /// <summary>A block leaves and enters as one array.</summary>
    private static int BlockBytes(ModelConfig config, DecoderSpec spec, int tokens)
    {
        var bytes = SequenceKv.Bytes(Decoder.KvShape(spec), spec.Layers, tokens);
        return bytes <= Array.MaxLength
            ? (int)bytes
            : throw new UserInputException($"{config.File}: keys and values of a block of {tokens} tokens take {bytes} bytes, with num_hidden_layers {spec.Layers} and {bytes / tokens / spec.Layers} bytes of a token in each; supported are at most {Array.MaxLength}, so fewer tokens of a block may do");
    }

    /// <summary>Over all that makes the bytes of keys and values interchangeable; computed for who asks for it, since few do.</summary>
    private static Lazy<ReadOnlyMemory<byte>> KvFingerprint(ModelConfig config, WeightFingerprint weights, ModelLoadOptions options)
    {
        var text = $"{KvLayout}/{options.BlockTokens}/{options.Quantization}/{weights.Text}/";
        return new(() => SHA256.HashData([.. System.Text.Encoding.UTF8.GetBytes(text), .. config.Json]));
    }
}
