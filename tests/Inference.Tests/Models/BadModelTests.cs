using System.Diagnostics;
using System.Text.Json.Nodes;
using Moebius.Crds;
using Moebius.Inference.Models;

namespace Moebius.Inference.Tests.Models;

/// <summary>Bad input gets one line that names the file, the field or tensor, its value and what is right.</summary>
public class BadModelTests
{
    [Theory]
    [InlineData("model_type", "\"llama\"", "model_type is \"llama\"; supported is deepseek_v2, deepseek_v3, glm4_moe, gpt_oss, granitemoe, mixtral, olmoe, phimoe, qwen2_moe, qwen3_moe")]
    [InlineData("hidden_size", "\"64\"", "hidden_size is \"64\"; supported is an integer")]
    [InlineData("hidden_size", "0", "hidden_size is 0; supported is an integer from 1")]
    [InlineData("hidden_size", "null", "hidden_size is missing")]
    [InlineData("num_key_value_heads", "3", "num_key_value_heads is 3; supported is a divisor of num_attention_heads, 4")]
    [InlineData("num_experts_per_tok", "99", "num_experts_per_tok is 99; supported is at most the number of experts, 16")]
    [InlineData("hidden_act", "\"tanhshrink\"", "hidden_act \"tanhshrink\" is not supported; supported are gelu, gelu_10")]
    [InlineData("rms_norm_eps", "-1", "rms_norm_eps is -1; supported is a number from 0")]
    [InlineData("rms_norm_eps", "1e39", "rms_norm_eps is 1e39; supported is a number from 0, as large as 32 bits hold")]
    [InlineData("clip_qkv", "1.5", "clip_qkv is 1.5; supported is its absence")]
    [InlineData("mlp_bias", "true", "mlp_bias is true; supported is its absence")]
    [InlineData("partial_rotary_factor", "0.5", "partial_rotary_factor is 0.5; supported is 1")]
    [InlineData("rope_parameters", "{\"rope_type\": \"mrope\"}", "rope_parameters: rope_type is \"mrope\"; supported is default, linear, dynamic, yarn, longrope, llama3 or proportional")]
    [InlineData("rope_parameters", "{\"rope_type\": \"yarn\", \"factor\": 4, \"beta_fast\": -1}", "rope_parameters: beta_fast is -1; supported is a number above 0")]
    [InlineData("rope_parameters", "{\"rope_type\": \"yarn\", \"factor\": 4, \"attention_factor\": 1e300}", "rope_parameters: yarn with these numbers rotates by angles, or scales by a factor, that are not finite")]
    [InlineData("rope_parameters", "{\"rope_type\": \"longrope\", \"factor\": 2, \"short_factor\": [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1], \"long_factor\": [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,0]}", "rope_parameters: longrope with these numbers rotates")]
    [InlineData("rope_parameters", "{\"rope_type\": \"linear\"}", "rope_parameters: factor is missing")]
    [InlineData("rope_parameters", "{\"rope_type\": \"longrope\", \"factor\": 2, \"long_factor\": [1], \"short_factor\": [1]}", "short_factor is [1]; supported is a list of 16 numbers")]
    [InlineData("rope_parameters", "{\"full_attention\": {\"rope_theta\": 1e4}}", "holds parameters per layer type")]
    [InlineData("moe_intermediate_size", "48", "tensor \"model.layers.0.mlp.experts.0.gate_proj.weight\" has shape [32, 64]; config.json asks for [48, 64]")]
    [InlineData("head_dim", "16", "tensor \"model.layers.0.self_attn.q_proj.weight\" has shape [128, 64]; config.json asks for [64, 64]")]
    [InlineData("num_hidden_layers", "5", "tensor \"model.layers.4.mlp.experts.0.gate_proj.weight\" is missing")]
    [InlineData("num_hidden_layers", "1025", "num_hidden_layers is 1025; supported is an integer from 1 to 1024")]
    [InlineData("num_local_experts", "4097", "num_local_experts is 4097; supported is an integer from 1 to 4096")]
    [InlineData("num_hidden_layers", "1", "has no place in qwen3_moe as config.json describes it")]
    [InlineData("num_nextn_predict_layers", "-1", "num_nextn_predict_layers is -1; supported is an integer from 0")]
    [InlineData("attention_bias", "true", "tensor \"model.layers.0.self_attn.q_proj.bias\" is missing")]
    public void Configurations_that_cannot_be_honoured_are_refused_by_name(string field, string value, string expected)
    {
        using var model = TestModels.Copy(TestModels.Golden("qwen3_moe"));
        model.EditConfig(config => config[field] = JsonNode.Parse(value));
        Refused(model.Path, expected);
    }

    [Theory]
    [InlineData("deepseek_v3", "n_shared_experts", "2147483647", "n_shared_experts x moe_intermediate_size is 2147483647 x 32 = ")]
    [InlineData("deepseek_v3", "n_shared_experts", "-1", "n_shared_experts is -1; supported is an integer from 0")]
    [InlineData("deepseek_v2", "first_k_dense_replace", "-1", "first_k_dense_replace is -1; supported is an integer from 0")]
    [InlineData("qwen2_moe", "layer_types", "[\"sliding_attention\",\"full_attention\",\"full_attention\",\"full_attention\"]", "supported is full_attention in each layer where use_sliding_window is not true")]
    [InlineData("qwen2_moe", "max_window_layers", "-1", "max_window_layers is -1; supported is an integer from 0")]
    public void Values_that_make_no_sense_are_refused_by_name(string family, string field, string value, string expected)
    {
        using var model = TestModels.Copy(TestModels.Golden(family));
        model.EditConfig(config => config[field] = JsonNode.Parse(value));
        Refused(model.Path, expected);
    }

    [Theory]
    [InlineData("{\"model_type\": \"\\ud800\"}", "model_type is not text")]
    [InlineData("{\"model_type\": \"mixtral\", \"layer_types\": [\"\\udc00\"]}", "layer_types is not text")]
    [InlineData("{\"model_type\": \"mixtral\", \"rope_scaling\": {\"\\ud800\": 1}}", "rope_scaling is not text")]
    [InlineData("{\"\\ud800\": 1}", "the name of a field is not text")]
    [InlineData("{\"model_type\": \"a\u009b31mb\"}", "model_type is \"a 31mb\"; supported is")]
    public void Text_that_is_none_is_refused_and_what_a_terminal_obeys_is_not_shown(string json, string expected)
    {
        using var model = TestModels.Copy(TestModels.Golden("mixtral"));
        File.WriteAllText(model.File_("config.json"), json);
        Refused(model.Path, expected);
    }

    [Fact]
    public void Keys_and_values_of_a_block_that_no_array_holds_are_refused()
    {
        using var model = TestModels.Copy(TestModels.Golden("deepseek_v3"));
        model.EditConfig(config => config["kv_lora_rank"] = 4_000_000);
        var spec = Architectures.Describe(ModelConfig.Read(model.Path));
        Assert.Equal((4_000_000L + ((LatentAttentionSpec)spec.Attention).RopeDim) * sizeof(float) * spec.Layers * 1024, SequenceKv.Bytes(Decoder.KvShape(spec), spec.Layers, 1024));
        var refused = Assert.Throws<UserInputException>(() => ModelLoader.Load(model.Path, new ModelLoadOptions { BlockTokens = 1024 }));
        Assert.Contains("config.json: keys and values of a block of 1024 tokens take ", refused.Message);
    }

    /// <summary>A configuration of 300 bytes must not take gigabytes before the first weight is looked for.</summary>
    [Fact]
    public void Experts_that_are_not_there_cost_no_memory()
    {
        using var model = TestModels.Copy(TestModels.Golden("mixtral"));
        model.EditConfig(config => (config["num_local_experts"], config["num_hidden_layers"]) = (4096, 1024));
        var before = GC.GetAllocatedBytesForCurrentThread();
        Refused(model.Path, "tensor \"model.layers.0.block_sparse_moe.experts.8.w1.weight\" is missing");
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 16 << 20);
    }

    [Theory]
    [InlineData("mixtral", "final_logit_softcapping", "30")]
    [InlineData("qwen3_moe", "attn_logit_softcapping", "50.0")]
    [InlineData("qwen3_moe", "dual_chunk_attention_config", "{\"chunk_size\":262144}")]
    [InlineData("mixtral", "routed_scaling_factor", "2.5")]
    [InlineData("gpt_oss", "logits_scaling", "2")]
    [InlineData("olmoe", "embedding_multiplier", "12")]
    [InlineData("phimoe", "residual_multiplier", "0.2")]
    [InlineData("qwen2_moe", "attention_multiplier", "0.1")]
    [InlineData("gpt_oss", "hidden_act", "\"gelu\"")]
    [InlineData("mixtral", "layer_types", "[\"sliding_attention\"]")]
    [InlineData("olmoe", "scoring_func", "\"sigmoid\"")]
    [InlineData("granitemoe", "topk_method", "\"noaux_tc\"")]
    [InlineData("granitemoe", "shared_intermediate_size", "64")]
    [InlineData("qwen3_moe", "n_group", "2")]
    [InlineData("mixtral", "decoder_sparse_step", "2")]
    [InlineData("phimoe", "mlp_only_layers", "[1]")]
    [InlineData("qwen3_moe", "swiglu_limit", "7.0")]
    [InlineData("deepseek_v2", "sliding_window", "16")]
    [InlineData("mixtral", "use_qk_norm", "true")]
    public void A_switch_that_the_family_does_not_have_is_refused_by_name(string family, string field, string value)
    {
        using var model = TestModels.Copy(TestModels.Golden(family));
        model.EditConfig(config => config[field] = JsonNode.Parse(value));
        Refused(model.Path, $"{field} is {value}; supported is its absence: {family} has no such switch");
    }

    [Theory]
    [InlineData("glm4_moe", "scoring_func", "\"softmax\"", "sigmoid")]
    [InlineData("glm4_moe", "topk_method", "\"greedy\"", "noaux_tc")]
    [InlineData("deepseek_v2", "rope_interleave", "false", "true")]
    [InlineData("qwen3_moe", "use_qk_norm", "false", "true")]
    public void A_switch_that_the_family_has_at_one_value_only_is_refused_at_another(string family, string field, string value, string only)
    {
        using var model = TestModels.Copy(TestModels.Golden(family));
        model.EditConfig(config => config[field] = JsonNode.Parse(value));
        Refused(model.Path, $"{field} is {value}; supported is {only}");
        model.EditConfig(config => config[field] = JsonNode.Parse(only is "true" ? only : $"\"{only}\""));
        TestModels.Load(model.Path).Dispose();
    }

    // What published configurations carry along: at the value that changes nothing, or beside the switch that is off.
    [Theory]
    [InlineData("mixtral", "layer_types", "[\"full_attention\", \"full_attention\", \"full_attention\", \"full_attention\"]")]
    [InlineData("mixtral", "routed_scaling_factor", "1.0")]
    [InlineData("olmoe", "attention_multiplier", "null")]
    [InlineData("qwen2_moe", "sliding_window", "4096")]
    [InlineData("qwen3_moe", "sliding_window", "4096")]
    [InlineData("qwen3_moe", "use_qk_norm", "true")]
    [InlineData("deepseek_v2", "n_group", "3")]
    [InlineData("gpt_oss", "layer_types", "[\"full_attention\", \"full_attention\", \"full_attention\", \"full_attention\"]")]
    [InlineData("mixtral", "a_switch_of_tomorrow", "true")]
    public void A_switch_that_changes_nothing_may_stay(string family, string field, string value)
    {
        using var model = TestModels.Copy(TestModels.Golden(family));
        model.EditConfig(config => config[field] = JsonNode.Parse(value));
        TestModels.Load(model.Path).Dispose();
    }

    [Theory]
    [InlineData("deepseek_v3", 1, null, true)]
    [InlineData("glm4_moe", 1, null, true)]
    [InlineData("glm4_moe", 2, null, false)]
    [InlineData("glm4_moe", 2, 2, true)]
    [InlineData("glm4_moe", 1, 0, false)]
    [InlineData("olmoe", 1, null, false)]
    public void Layers_after_the_last_are_left_out_only_where_they_predict_further_tokens(string family, int missing, int? declared, bool accepted)
    {
        using var model = TestModels.Copy(TestModels.Golden(family));
        model.EditConfig(config =>
        {
            config["num_hidden_layers"] = (int)config["num_hidden_layers"]! - missing;
            config["num_nextn_predict_layers"] = declared;
        });
        if (accepted)
            TestModels.Load(model.Path).Dispose();
        else
            Refused(model.Path, $"has no place in {family} as config.json describes it");
    }

    // What the reference implementation takes for them is not what they seem to say.
    [Theory]
    [InlineData("deepseek_v3", "rope_interleave", "null", "rope_interleave is null; supported is true or false")]
    [InlineData("deepseek_v3", "norm_topk_prob", "null", "norm_topk_prob is null; supported is true or false")]
    [InlineData("granitemoe", "attention_multiplier", "0", "attention_multiplier is 0; supported is a number above 0")]
    [InlineData("granitemoe", "attention_multiplier", "-0.1", "attention_multiplier is -0.1; supported is a number above 0")]
    [InlineData("glm4_moe", "rope_parameters", "{\"rope_type\": \"linear\", \"factor\": 2, \"partial_rotary_factor\": 0.25}", "rope_parameters: partial_rotary_factor is 0.25; supported is 0.5")]
    [InlineData("gpt_oss", "rope_parameters", "{\"rope_type\": \"yarn\", \"factor\": 2, \"truncate\": null}", "truncate is null; supported is true or false")]
    public void Values_that_mean_something_else_to_others_are_refused_by_name(string family, string field, string value, string expected)
    {
        using var model = TestModels.Copy(TestModels.Golden(family));
        model.EditConfig(config =>
        {
            config.Remove("partial_rotary_factor");
            config[field] = JsonNode.Parse(value);
        });
        Refused(model.Path, expected);
    }

    // Of phimoe's two the reference implementation reads the inner one alone; of the others' it takes the outer one.
    [Theory]
    [InlineData("\"original_max_position_embeddings\": 32", 32)]
    [InlineData("\"type\": \"yarn\"", 64)]
    public void Phimoe_refuses_an_original_context_that_its_scaling_contradicts(string inner, int taken)
    {
        using var model = TestModels.Copy(TestModels.Golden("phimoe"));
        model.EditConfig(config =>
        {
            config.Remove("rope_parameters");
            config["max_position_embeddings"] = 64;
            config["original_max_position_embeddings"] = 16;
            config["rope_scaling"] = JsonNode.Parse("{\"rope_type\": \"yarn\", \"factor\": 4, \"short_mscale\": 1, \"long_mscale\": 1, " + inner + "}");
        });
        Refused(model.Path, $"original_max_position_embeddings is 16; supported is {taken}, ");
        model.EditConfig(config => config["original_max_position_embeddings"] = taken);
        Assert.Equal(taken, Architectures.Describe(ModelConfig.Read(model.Path)).Rope.RestartsBeyond);
    }

    [Theory]
    [InlineData("{\"rope_type\": \"yarn\", \"factor\": 4, \"original_max_position_embeddings\": ORIGINAL}")]
    [InlineData("{\"rope_type\": \"llama3\", \"factor\": 4, \"low_freq_factor\": 1, \"high_freq_factor\": 4, \"original_max_position_embeddings\": ORIGINAL}")]
    public void The_original_context_beside_the_scaling_goes_first(string scaling)
    {
        using var model = TestModels.Copy(TestModels.Golden("mixtral"));
        var (inner, other, both) = (Cosines(256, null), Cosines(2048, null), Cosines(256, 2048));
        Assert.NotEqual(inner, other);
        Assert.Equal(other, both);

        float[] Cosines(int original, int? beside)
        {
            model.EditConfig(config =>
            {
                config["rope_parameters"] = JsonNode.Parse(scaling.Replace("ORIGINAL", original.ToString(System.Globalization.CultureInfo.InvariantCulture), StringComparison.Ordinal));
                config["original_max_position_embeddings"] = beside;
            });
            return Architectures.Describe(ModelConfig.Read(model.Path)).Rope.Angles(100, 1, 101).Cos;
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_head_beside_tied_embeddings_must_be_a_copy_of_them(bool changed)
    {
        using var model = TestModels.Copy(Path.Combine(TestModels.Data, "variants", "olmoe-clip-bias"));
        model.EditTensors(tensors =>
        {
            var embedding = tensors["model.embed_tokens.weight"];
            var copy = embedding.Bytes.ToArray();
            if (changed)
                copy[^2] ^= 1;
            tensors["lm_head.weight"] = embedding with { Bytes = copy };
        });
        if (changed)
            Refused(model.Path, "tensor \"lm_head.weight\" differs from model.embed_tokens.weight, with which tie_word_embeddings in config.json says it is one");
        else
            TestModels.Load(model.Path).Dispose();
    }

    [Fact]
    public void A_tensor_without_a_place_is_refused()
    {
        using var model = TestModels.Copy(TestModels.Golden("phimoe"));
        model.EditConfig(config => config["lm_head_bias"] = false);
        Refused(model.Path, "tensor \"lm_head.bias\" has no place in phimoe as config.json describes it");
    }

    [Fact]
    public void Missing_directory_configuration_and_weights_are_told_apart()
    {
        Refused("/nonexistent/model", "/nonexistent/model: model directory does not exist");
        using var model = TestModels.Copy(TestModels.Golden("mixtral"));
        File.Delete(model.File_("model.safetensors"));
        Refused(model.Path, "holds neither model.safetensors nor model.safetensors.index.json");
        File.WriteAllText(model.File_("config.json"), "{\"model_type\": ");
        Refused(model.Path, "config.json: is not valid JSON");
        File.Delete(model.File_("config.json"));
        Refused(model.Path, "config.json: is missing");
    }

    [Fact]
    public void A_missing_shard_is_named()
    {
        using var model = TestModels.Copy(Path.Combine(TestModels.Data, "variants", "mixtral-llama3"));
        var shard = Directory.GetFiles(model.Path, "model-00002*").Single();
        File.Delete(shard);
        Refused(model.Path, $"model.safetensors.index.json: shard {Path.GetFileName(shard)} is missing");
    }

    [Theory]
    [InlineData("\"../model.safetensors\"", "shards must lie in the same directory")]
    [InlineData("\"/etc/passwd\"", "shards must lie in the same directory")]
    [InlineData("\"sub/model.safetensors\"", "shards must lie in the same directory")]
    [InlineData("\"\"", "shards must lie in the same directory")]
    [InlineData("\"..\"", "shard .. is missing")]
    [InlineData("7", "not a valid index")]
    [InlineData("\"model-00001-of-00004.safetensors\"", "which does not hold it")]
    public void A_false_index_is_refused(string shard, string expected)
    {
        using var model = TestModels.Copy(Path.Combine(TestModels.Data, "variants", "mixtral-llama3"));
        var path = model.File_("model.safetensors.index.json");
        var index = JsonNode.Parse(File.ReadAllText(path))!;
        index["weight_map"]!["model.norm.weight"] = JsonNode.Parse(shard);
        File.WriteAllText(path, index.ToJsonString());
        Refused(model.Path, expected);
    }

    [Fact]
    public void A_tensor_in_two_shards_is_refused()
    {
        using var model = TestModels.Copy(Path.Combine(TestModels.Data, "variants", "mixtral-llama3"));
        var path = model.File_("model.safetensors.index.json");
        var index = JsonNode.Parse(File.ReadAllText(path))!;
        File.Copy(model.File_("model-00001-of-00004.safetensors"), model.File_("twice.safetensors"));
        index["weight_map"]!["model.norm.weight"] = "twice.safetensors";
        File.WriteAllText(path, index.ToJsonString());
        Refused(model.Path, "it must be in one shard only");
    }

    [Fact]
    public void Shards_may_be_links_as_in_the_hub_s_cache()
    {
        using var model = TestModels.Copy(Path.Combine(TestModels.Data, "variants", "mixtral-llama3"));
        using var blobs = new TemporaryDirectory();
        foreach (var shard in Directory.GetFiles(model.Path, "*.safetensors"))
        {
            var blob = Path.Combine(blobs.Path, Path.GetFileName(shard));
            File.Move(shard, blob);
            File.CreateSymbolicLink(shard, blob);
        }

        TestModels.Load(model.Path).Dispose();
    }

    [Fact]
    public void A_budget_below_one_layers_experts_is_refused_with_the_number_that_would_do()
    {
        var directory = TestModels.Golden("qwen3_moe");
        var smallest = TestModels.SmallestBudget(directory);
        var refused = Assert.Throws<UserInputException>(() => TestModels.Load(directory, smallest - 1).Dispose());
        Assert.Equal($"experts.fastMemory (--expert-budget): {smallest - 1} bytes is too small for {directory}: one layer's top-4 experts need {smallest} bytes (4 x {smallest / 4}); give at least {smallest}", refused.Message);
        TestModels.Load(directory, smallest).Dispose();
    }

    [Theory]
    [InlineData(0, 16, "--threads: 0 is out of range: from 1 to 1024")]
    [InlineData(1, 0, "block tokens is 0; it must be from 1 to 1024")]
    public void Options_out_of_range_are_refused(int threads, int blockTokens, string expected)
    {
        var options = new ModelLoadOptions { Threads = threads, BlockTokens = blockTokens };
        Assert.Equal(expected, Assert.Throws<UserInputException>(() => ModelLoader.Load(TestModels.Golden("mixtral"), options)).Message);
    }

    private static void Refused(string directory, string expected)
    {
        var refused = Assert.Throws<UserInputException>(() => TestModels.Load(directory).Dispose());
        Assert.Contains(expected, refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refused.Message);
    }

    [Theory]
    [InlineData("config.json")]
    [InlineData("generation_config.json")]
    public async Task A_pipe_in_place_of_a_file_is_not_waited_for(string file)
    {
        using var model = TestModels.Copy(TestModels.Golden("qwen3_moe"));
        var path = Path.Combine(model.Path, file);
        File.Delete(path);
        await Process.Start("mkfifo", [path]).WaitForExitAsync(TestContext.Current.CancellationToken);
        var loading = Task.Run(() => Assert.Throws<UserInputException>(() => TestModels.Load(model.Path)), TestContext.Current.CancellationToken);
        Assert.Equal($"{path}: is a device, a pipe or a socket; a file is needed", (await Eventually.EndsAsync(loading)).Message);
    }
}
