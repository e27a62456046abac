using System.Runtime.InteropServices;
using Moebius.Inference.Checkpoints;
using Moebius.Inference.Models;

namespace Moebius.Bench.Inference;

/// <summary>
/// A qwen3_moe checkpoint in bf16 as GGUF for llama.cpp: matrices bit for bit, vectors and routers widened to fp32 as
/// its own converter does. Without a tokenizer: its benchmarks take token ids.
/// </summary>
internal static class GgufModel
{
    /// <summary>The file beside the other models of the cache; written on first use.</summary>
    public static string Ensure(string directory)
    {
        var path = Path.Combine(BenchCache.Models, Path.GetFileName(directory) + ".gguf");
        if (File.Exists(path))
            return path;
        Directory.CreateDirectory(BenchCache.Models);
        Report.Line($"Writing {path} ...");
        var part = $"{path}.{Environment.ProcessId}";
        using (var checkpoint = Checkpoint.Open(directory))
            Describe(ModelConfig.Read(directory), checkpoint).Write(part);
        File.Move(part, path);
        return path;
    }

    private static GgufFile Describe(ModelConfig config, Checkpoint checkpoint)
    {
        var gguf = new GgufFile();
        int layers = config.Size("num_hidden_layers"), experts = config.Size("num_experts", "num_local_experts");
        int hidden = config.Size("hidden_size"), width = config.Size("moe_intermediate_size"), head = config.Size("head_dim");
        void Number(string key, int value) => gguf.Set("qwen3moe." + key, (uint)value);
        gguf.Set("general.architecture", "qwen3moe");
        gguf.Set("general.file_type", 32u);
        Number("block_count", layers);
        Number("context_length", config.Size("max_position_embeddings"));
        Number("embedding_length", hidden);
        Number("feed_forward_length", config.Size("intermediate_size"));
        Number("attention.head_count", config.Size("num_attention_heads"));
        Number("attention.head_count_kv", config.Size("num_key_value_heads"));
        Number("attention.key_length", head);
        Number("attention.value_length", head);
        Number("expert_count", experts);
        Number("expert_used_count", config.Size("num_experts_per_tok"));
        Number("expert_feed_forward_length", width);
        Number("vocab_size", config.Size("vocab_size"));
        gguf.Set("qwen3moe.attention.layer_norm_rms_epsilon", (float)config.Number("rms_norm_eps"));
        gguf.Set("qwen3moe.rope.freq_base", (float)(config.Object("rope_parameters") ?? config).Number("rope_theta"));
        gguf.Set("tokenizer.ggml.model", "none");

        Matrix("token_embd.weight", "model.embed_tokens.weight");
        Vector("output_norm.weight", "model.norm.weight");
        if (checkpoint.Contains("lm_head.weight"))
            Matrix("output.weight", "lm_head.weight");
        for (var layer = 0; layer < layers; layer++)
        {
            string from = $"model.layers.{layer}.", to = $"blk.{layer}.";
            Vector(to + "attn_norm.weight", from + "input_layernorm.weight");
            foreach (var (target, source) in new[] { ("q", "q_proj"), ("k", "k_proj"), ("v", "v_proj"), ("output", "o_proj") })
                Matrix($"{to}attn_{target}.weight", $"{from}self_attn.{source}.weight");
            Vector(to + "attn_q_norm.weight", from + "self_attn.q_norm.weight");
            Vector(to + "attn_k_norm.weight", from + "self_attn.k_norm.weight");
            Vector(to + "ffn_norm.weight", from + "post_attention_layernorm.weight");
            Vector(to + "ffn_gate_inp.weight", from + "mlp.gate.weight");
            Stack($"{to}ffn_gate_exps.weight", from, "gate_proj", [experts, width, hidden]);
            Stack($"{to}ffn_up_exps.weight", from, "up_proj", [experts, width, hidden]);
            Stack($"{to}ffn_down_exps.weight", from, "down_proj", [experts, hidden, width]);
        }
        return gguf;

        void Matrix(string target, string source)
        {
            var (file, entry) = BFloat16(source);
            gguf.Add(target, [.. entry.Shape], GgufType.BF16, output => Copy(file, entry, 0, entry.Length, output));
        }

        void Vector(string target, string source)
        {
            var (file, entry) = BFloat16(source);
            gguf.Add(target, [.. entry.Shape], GgufType.F32, output =>
            {
                var bytes = new byte[entry.Length];
                file.Read(entry, 0, bytes);
                float[] values = [.. MemoryMarshal.Cast<byte, ushort>(bytes).ToArray().Select(bits => BitConverter.UInt32BitsToSingle((uint)bits << 16))];
                output.Write(MemoryMarshal.AsBytes<float>(values));
            });
        }

        void Stack(string target, string layer, string part, long[] shape) => gguf.Add(target, shape, GgufType.BF16, output =>
        {
            for (var expert = 0; expert < experts; expert++)
            {
                var (file, entry) = BFloat16($"{layer}mlp.experts.{expert}.{part}.weight");
                Copy(file, entry, 0, entry.Length, output);
            }
        });

        (SafetensorsFile File, TensorEntry Entry) BFloat16(string name)
        {
            var found = checkpoint.Find(name);
            return found.Entry.Type == TensorType.BF16 ? found : throw new InvalidOperationException($"{name} is {found.Entry.Type}; the comparison is for bf16");
        }
    }

    private static void Copy(SafetensorsFile file, TensorEntry entry, long start, long bytes, Stream output)
    {
        var buffer = new byte[(int)Math.Min(bytes, 4 << 20)];
        for (long done = 0; done < bytes; done += buffer.Length)
        {
            var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, bytes - done));
            file.Read(entry, start + done, part);
            output.Write(part);
        }
    }
}
