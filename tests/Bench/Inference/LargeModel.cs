using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Moebius.Bench.Inference;

/// <summary>
/// A qwen3_moe of 2.5 GB (bf16) with random weights: as large as it needs to be for memory to matter, and nothing it
/// writes means anything. What residual branches add shrinks with depth, as in trained models, so that hidden states
/// drift slowly from layer to layer and the routing of neighbouring layers is related.
/// </summary>
internal static class LargeModel
{
    public const int Hidden = 1024;
    public const int Layers = 16;
    public const int Experts = 64;
    public const int TopK = 8;
    public const int Intermediate = 384;
    public const int Heads = 16;
    public const int KvHeads = 4;
    public const int HeadDim = 64;
    public const int Vocabulary = 4096;
    public const int Context = 4096;

    /// <summary>The model's directory; written on first use, which takes about a minute.</summary>
    public static string Ensure()
    {
        var directory = Path.Combine(BenchCache.Models, "large-2");
        if (File.Exists(Path.Combine(directory, "model.safetensors.index.json")))
            return directory;
        // Under another name until it is whole, so that an interrupted run leaves nothing that looks like a model.
        var part = $"{directory}.{Environment.ProcessId}";
        Directory.CreateDirectory(part);
        Report.Line($"Writing the model of 2.5 GB to {directory} ...");
        Write(part);
        foreach (var file in new[] { "tokenizer.json", "tokenizer_config.json", "chat_template.jinja" })
            File.Copy(Path.Combine(RepositoryFiles.Root, "samples", "models", "austen-moe", file), Path.Combine(part, file));
        if (Directory.Exists(directory))
            Directory.Delete(directory, recursive: true);
        Directory.Move(part, directory);
        return directory;
    }

    private static void Write(string directory)
    {
        var shards = new List<(string File, (string Name, int[] Shape, double Deviation)[] Tensors)>();
        string Shard() => $"model-{shards.Count + 1:00000}-of-{Layers + 1:00000}.safetensors";
        shards.Add((Shard(), [("model.embed_tokens.weight", [Vocabulary, Hidden], 1), ("model.norm.weight", [Hidden], 0)]));
        for (var layer = 0; layer < Layers; layer++)
            shards.Add((Shard(), [.. Layer($"model.layers.{layer}.")]));
        Parallel.ForEach(shards, new ParallelOptions { MaxDegreeOfParallelism = 2 }, shard => WriteShard(Path.Combine(directory, shard.File), shard.Tensors));

        var map = new JsonObject();
        foreach (var (file, tensors) in shards)
        {
            foreach (var tensor in tensors)
                map[tensor.Name] = file;
        }
        var bytes = shards.SelectMany(shard => shard.Tensors).Sum(tensor => 2 * Count(tensor.Shape));
        File.WriteAllText(Path.Combine(directory, "config.json"), Configuration().ToJsonString());
        File.WriteAllText(Path.Combine(directory, "model.safetensors.index.json"), new JsonObject { ["metadata"] = new JsonObject { ["total_size"] = bytes }, ["weight_map"] = map }.ToJsonString());
    }

    private static IEnumerable<(string Name, int[] Shape, double Deviation)> Layer(string prefix)
    {
        double branch = 0.6 / Math.Sqrt(2 * Layers), hidden = 1 / Math.Sqrt(Hidden);
        yield return (prefix + "input_layernorm.weight", [Hidden], 0);
        yield return (prefix + "post_attention_layernorm.weight", [Hidden], 0);
        yield return (prefix + "self_attn.q_proj.weight", [Heads * HeadDim, Hidden], hidden);
        yield return (prefix + "self_attn.k_proj.weight", [KvHeads * HeadDim, Hidden], hidden);
        yield return (prefix + "self_attn.v_proj.weight", [KvHeads * HeadDim, Hidden], hidden);
        yield return (prefix + "self_attn.o_proj.weight", [Hidden, Heads * HeadDim], branch / Math.Sqrt(Heads * HeadDim));
        yield return (prefix + "self_attn.q_norm.weight", [HeadDim], 0);
        yield return (prefix + "self_attn.k_norm.weight", [HeadDim], 0);
        yield return (prefix + "mlp.gate.weight", [Experts, Hidden], 2 * hidden);
        for (var expert = 0; expert < Experts; expert++)
        {
            var name = $"{prefix}mlp.experts.{expert}.";
            yield return (name + "gate_proj.weight", [Intermediate, Hidden], hidden);
            yield return (name + "up_proj.weight", [Intermediate, Hidden], hidden);
            yield return (name + "down_proj.weight", [Hidden, Intermediate], 4 * branch / Math.Sqrt(Intermediate));
        }
    }

    private static JsonObject Configuration() => new()
    {
        ["architectures"] = new JsonArray("Qwen3MoeForCausalLM"),
        ["model_type"] = "qwen3_moe",
        ["vocab_size"] = Vocabulary,
        ["hidden_size"] = Hidden,
        ["num_hidden_layers"] = Layers,
        ["num_attention_heads"] = Heads,
        ["num_key_value_heads"] = KvHeads,
        ["head_dim"] = HeadDim,
        ["intermediate_size"] = 3072,
        ["moe_intermediate_size"] = Intermediate,
        ["num_experts"] = Experts,
        ["num_experts_per_tok"] = TopK,
        ["norm_topk_prob"] = true,
        ["decoder_sparse_step"] = 1,
        ["mlp_only_layers"] = new JsonArray(),
        ["max_position_embeddings"] = Context,
        ["rope_theta"] = 1e6,
        ["rms_norm_eps"] = 1e-6,
        ["tie_word_embeddings"] = true,
        ["hidden_act"] = "silu",
        ["attention_bias"] = false,
        ["bos_token_id"] = 0,
        ["eos_token_id"] = 0,
        ["torch_dtype"] = "bfloat16",
    };

    private static void WriteShard(string path, IReadOnlyList<(string Name, int[] Shape, double Deviation)> tensors)
    {
        var header = new JsonObject();
        long offset = 0;
        foreach (var (name, shape, _) in tensors)
        {
            var end = offset + 2 * Count(shape);
            header[name] = new JsonObject
            {
                ["dtype"] = "BF16",
                ["shape"] = new JsonArray([.. shape.Select(size => JsonValue.Create(size))]),
                ["data_offsets"] = new JsonArray(offset, end),
            };
            offset = end;
        }
        var json = Encoding.UTF8.GetBytes(header.ToJsonString(JsonSerializerOptions.Default).PadRight(8));
        var length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, json.Length);
        using var file = File.Create(path);
        file.Write(length);
        file.Write(json);
        foreach (var (name, shape, deviation) in tensors)
            file.Write(MemoryMarshal.AsBytes<ushort>(Values(name, Count(shape), deviation)));
    }

    private static long Count(int[] shape) => shape.Aggregate(1L, (product, size) => product * size);

    /// <summary>
    /// bf16 values around 0, or ones where the deviation is 0. Each is a sum of four uniform numbers, close enough to
    /// a normal one, from a generator (SplitMix64) that begins with the tensor's name.
    /// </summary>
    private static ushort[] Values(string name, long count, double deviation)
    {
        var values = new ushort[count];
        if (deviation == 0)
        {
            Array.Fill(values, (ushort)0x3F80);
            return values;
        }
        var state = 14695981039346656037;
        unchecked
        {
            foreach (var c in name)
                state = (state ^ c) * 1099511628211;
            // Four uniform numbers of 16 bits have a sum of variance 2^32 / 3.
            var scale = (float)(deviation * Math.Sqrt(3) / 65536);
            for (var i = 0; i < values.Length; i++)
            {
                state += 0x9E3779B97F4A7C15;
                var mixed = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9;
                mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
                mixed ^= mixed >> 31;
                var sum = (int)((mixed & 0xFFFF) + ((mixed >> 16) & 0xFFFF) + ((mixed >> 32) & 0xFFFF) + (mixed >> 48)) - 131070;
                var bits = BitConverter.SingleToUInt32Bits(sum * scale);
                values[i] = (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
            }
        }
        return values;
    }
}
