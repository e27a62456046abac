using System.Text.Json.Nodes;
using FsCheck.Fluent;
using Moebius.Crds;
using Moebius.Inference.Models;

namespace Moebius.Inference.Tests.Models;

/// <summary>Sizes that are in range one by one and not together: a configuration comes with a model, and a model from anywhere.</summary>
public class ConfigurationSizeTests
{
    private const int Largest = 16_777_216;

    private static readonly string[] Sizes =
    [
        "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size", "intermediate_size", "moe_intermediate_size",
        "shared_expert_intermediate_size", "n_shared_experts", "num_hidden_layers", "num_local_experts", "num_experts", "n_routed_experts", "num_experts_per_tok",
        "q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "max_position_embeddings", "n_group", "topk_group",
    ];

    [Theory]
    [InlineData("mixtral", "{\"hidden_size\": 2, \"num_attention_heads\": 65537, \"num_key_value_heads\": 1, \"head_dim\": 65536}", "num_attention_heads is 65537; supported is an integer from 1 to 4096")]
    [InlineData("mixtral", "{\"num_attention_heads\": 4096, \"num_key_value_heads\": 1, \"head_dim\": 8192}", "num_attention_heads x head_dim is 4096 x 8192 = 33554432; supported is at most 16777216")]
    [InlineData("deepseek_v3", "{\"qk_nope_head_dim\": 16777216}", "num_attention_heads x (qk_nope_head_dim + qk_rope_head_dim) is 4 x 167772")]
    [InlineData("deepseek_v3", "{\"v_head_dim\": 16777216}", "num_attention_heads x (qk_nope_head_dim + v_head_dim) is 4 x 167772")]
    [InlineData("deepseek_v2", "{\"kv_lora_rank\": 16777216}", "num_attention_heads x (kv_lora_rank + qk_rope_head_dim) is 4 x 167772")]
    public void A_side_of_a_matrix_that_is_a_product_is_bounded(string family, string fields, string expected)
    {
        var refused = Assert.Throws<UserInputException>(() => Describe(family, JsonNode.Parse(fields)!.AsObject()));
        Assert.Contains(expected, refused.Message);
    }

    /// <summary>Whatever the sizes are, what is made of them is what their products are in numbers that do not wrap, or a field is named.</summary>
    [Property(MaxTest = 2000)]
    public FsCheck.Property Any_sizes_are_consistent_or_refused_by_name()
    {
        var size = Gen.OneOf(Gen.Choose(1, 8), Gen.Choose(1, 30).Select(bits => 1 << bits), Gen.Choose(1, 30).Select(bits => (1 << bits) + 1), Gen.Choose(-2, int.MaxValue));
        var change = Gen.Elements(Sizes).SelectMany(_ => size, (name, value) => (name, value));
        var family = Gen.Elements(Directory.GetDirectories(Path.Combine(TestModels.Data, "golden")).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal).ToArray());
        return Prop.ForAll(family.SelectMany(_ => change.ArrayOf(4), (name, changes) => (name, changes)).ToArbitrary(), drawn =>
        {
            var fields = new JsonObject();
            foreach (var (name, value) in drawn.changes)
                fields[name] = value;
            DecoderSpec spec;
            try
            {
                spec = Describe(drawn.name, fields);
            }
            catch (UserInputException refused)
            {
                Assert.Matches("config.json: .*(_|head dimensions)", refused.Message);
                return;
            }
            var shape = Decoder.KvShape(spec);
            long rows = (long)shape.Heads * shape.KeyDim, values = (long)shape.Heads * shape.ValueDim;
            Assert.InRange(rows, 1, Largest);
            Assert.InRange(values, 1, Largest);
            Assert.Equal((long)shape.KvHeads * shape.KeyDim, shape.KeyRow);
            Assert.Equal(shape.ValuesInKeys ? 0 : (long)shape.KvHeads * shape.ValueDim, shape.ValueRow);
            if (spec.Attention is LatentAttentionSpec latent)
                Assert.InRange((long)latent.Heads * ((long)latent.NopeDim + Math.Max(latent.ValueDim, latent.RopeDim)), 1, Largest);
            Assert.InRange(spec.Layers, 1, 1024);
            Assert.All(spec.FeedForward.OfType<MoeSpec>(), moe => Assert.InRange(moe.Router.Experts, 1, 4096));
            Assert.All(spec.FeedForward.OfType<MoeSpec>(), moe => Assert.InRange(moe.Shared?.Intermediate ?? 1, 1, Largest));
            Assert.InRange(StepMemory.BytesPerToken(spec), 1, 1L << 50);
        });
    }

    private static DecoderSpec Describe(string family, JsonObject fields)
    {
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(TestModels.Golden(family), "config.json")))!.AsObject();
        foreach (var (name, value) in fields.ToList())
        {
            fields.Remove(name);
            config[name] = value;
        }
        return Architectures.Describe(ModelConfig.Parse("config.json", System.Text.Encoding.UTF8.GetBytes(config.ToJsonString())));
    }
}
