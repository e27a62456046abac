using System.Text.Json.Nodes;
using Moebius.Inference.Models;
using Moebius.Inference.Verify;

namespace Moebius.Inference.Tests.Models;

/// <summary>
/// Published checkpoints carry switches of other families, of training and of their authors' own code. At the values at
/// which they are published none is refused, and none changes the result.
/// </summary>
public class PublishedSwitchesTests
{
    [Theory]
    // Mixtral 8x7B and 8x22B, and merges that were made from Mistral's configuration.
    [InlineData("mixtral", """{"sliding_window": null, "rope_scaling": null, "router_jitter_noise": 0.0, "output_router_logits": false, "head_dim": null, "attention_bias": false, "mlp_bias": false}""")]
    // Qwen1.5-MoE and Qwen2-57B-A14B: a window that is off.
    [InlineData("qwen2_moe", """{"use_sliding_window": false, "sliding_window": 65536, "max_window_layers": 28, "decoder_sparse_step": 1, "layer_types": null}""")]
    // Qwen3-30B-A3B and its 2507 releases.
    [InlineData("qwen3_moe", """{"use_sliding_window": false, "sliding_window": null, "max_window_layers": 48, "decoder_sparse_step": 1, "mlp_only_layers": [], "rope_scaling": null, "attention_bias": false}""")]
    // Qwen3-Coder names what its family does not have as off, and what it always has as on.
    [InlineData("qwen3_moe", """{"qkv_bias": false, "use_qk_norm": true, "shared_expert_intermediate_size": 0, "max_window_layers": 62, "sliding_window": null, "router_aux_loss_coef": 0.0}""")]
    [InlineData("olmoe", """{"attention_bias": false, "clip_qkv": null, "rope_scaling": null, "output_router_logits": false}""")]
    // DeepSeek-V2-Lite: the groups of the method that is not in use.
    [InlineData("deepseek_v2", """{"topk_method": "greedy", "n_group": 8, "topk_group": 3, "scoring_func": "softmax", "seq_aux": true, "aux_loss_alpha": 0.001, "moe_layer_freq": 1, "ep_size": 1, "pretraining_tp": 1, "rope_scaling": null}""")]
    // DeepSeek-V3 and R1, Moonlight.
    [InlineData("deepseek_v3", """{"topk_method": "noaux_tc", "scoring_func": "sigmoid", "moe_layer_freq": 1, "num_nextn_predict_layers": 1, "ep_size": 1, "seq_aux": true, "aux_loss_alpha": 0.001, "pretraining_tp": 1, "attention_bias": false}""")]
    [InlineData("deepseek_v3", """{"topk_method": "noaux_tc", "scoring_func": "sigmoid", "num_nextn_predict_layers": 0, "moe_layer_freq": 1, "rope_scaling": null}""")]
    // gpt-oss: names of its authors' code beside the reference's, and an activation that its experts do not use.
    [InlineData("gpt_oss", """{"hidden_act": "silu", "swiglu_limit": 7.0, "experts_per_token": 4, "initial_context_length": 4096, "router_aux_loss_coef": 0.9, "output_router_logits": false}""")]
    [InlineData("granitemoe", """{"attention_bias": false, "attention_dropout": 0.1, "rope_scaling": null, "router_aux_loss_coef": 0.0}""")]
    [InlineData("glm4_moe", """{"num_nextn_predict_layers": 1, "rope_scaling": null, "n_group": 1, "topk_group": 1, "n_shared_experts": 1}""")]
    [InlineData("phimoe", """{"hidden_dropout": 0.0, "input_jitter_noise": 0.01, "router_jitter_noise": 0.01, "sliding_window": 131072, "original_max_position_embeddings": 4096, "attention_bias": true, "lm_head_bias": true}""")]
    public void Switches_of_published_checkpoints_are_accepted_and_change_nothing(string family, string published)
    {
        using var model = TestModels.Copy(TestModels.Golden(family));
        model.EditConfig(config =>
        {
            foreach (var (name, value) in JsonNode.Parse(published)!.AsObject())
                config[name] = value?.DeepClone();
        });
        var result = ModelVerifier.Verify(model.Path, new ModelLoadOptions { Threads = 1 });
        Assert.True(result.Passed, result.ToString());
    }

    // Model cards of Qwen2 and Qwen3 say to add the scaling to a configuration and nothing else.
    [Theory]
    [InlineData(160, "{\"type\": \"yarn\", \"factor\": 4.0, \"original_max_position_embeddings\": 128}", 512)]
    [InlineData(1024, "{\"rope_type\": \"yarn\", \"factor\": 4.0, \"original_max_position_embeddings\": 128}", 1024)]
    [InlineData(160, "{\"rope_type\": \"yarn\", \"factor\": 4.0}", 160)]
    [InlineData(160, "{\"type\": \"dynamic\", \"factor\": 4.0}", 640)]
    [InlineData(160, "{\"type\": \"linear\", \"factor\": 4.0}", 160)]
    [InlineData(160, "null", 160)]
    public void The_context_is_what_the_scaling_reaches(int positions, string scaling, int context)
    {
        using var model = TestModels.Copy(TestModels.Golden("qwen3_moe"));
        model.EditConfig(config =>
        {
            config.Remove("rope_parameters");
            config["max_position_embeddings"] = positions;
            config["rope_scaling"] = JsonNode.Parse(scaling);
        });
        using var loaded = TestModels.Load(model.Path);
        Assert.Equal(context, loaded.Info.ContextLength);
    }
}
