using System.Buffers.Binary;
using System.Text.Json.Nodes;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Models;

namespace Moebius.Inference.Tests.Models;

/// <summary>Checkpoints in mxfp4 and fp8: what is refused, by field or tensor. That they are read right is in <see cref="ReferenceTests"/>.</summary>
public class StoredQuantizationTests
{
    private const string Blocks = "model.layers.1.mlp.experts.down_proj_blocks";
    private const string Scales = "model.layers.1.mlp.experts.down_proj_scales";
    private const string Expert = "model.layers.1.mlp.experts.3.up_proj.weight";
    private const string Dense = "model.layers.2.self_attn.o_proj.weight";

    [Theory]
    [InlineData("deepseek_v3-fp8", """{"quant_method": "awq"}""", "quantization_config: quant_method is \"awq\"; supported is fp8, or a checkpoint in fp32, fp16 or bf16 without quantization_config")]
    [InlineData("deepseek_v3-fp8", """{"quant_method": "compressed-tensors"}""", "quant_method is \"compressed-tensors\"; supported is fp8, or a checkpoint in")]
    [InlineData("deepseek_v3-fp8", """{"quant_method": "mxfp4"}""", "quant_method is \"mxfp4\"; supported is fp8, or")]
    [InlineData("deepseek_v3-fp8", "{}", "quant_method is (absent); supported is fp8, or")]
    [InlineData("deepseek_v3-fp8", "[]", "quantization_config is []; supported is an object")]
    [InlineData("deepseek_v3-fp8", """{"quant_method": "fp8"}""", "quantization_config: weight_block_size is (absent); supported is [rows, columns] of the weights that share a scale, as [128, 128]; one scale for a tensor or a channel is not supported")]
    [InlineData("deepseek_v3-fp8", """{"quant_method": "fp8", "weight_block_size": null}""", "weight_block_size is null; supported is [rows, columns]")]
    [InlineData("deepseek_v3-fp8", """{"quant_method": "fp8", "weight_block_size": [128]}""", "weight_block_size is [128]; supported is [rows, columns]")]
    [InlineData("deepseek_v3-fp8", """{"quant_method": "fp8", "weight_block_size": [0, 128]}""", "weight_block_size is [0,128]; supported is [rows, columns]")]
    [InlineData("deepseek_v3-fp8", """{"quant_method": "fp8", "weight_block_size": [128, 2147483647]}""", "weight_block_size is [128,2147483647]; supported is [rows, columns]")]
    [InlineData("deepseek_v3-fp8", """{"quant_method": "fp8", "weight_block_size": [16, 32], "activation_scheme": "static"}""", "activation_scheme is \"static\"; supported is dynamic")]
    [InlineData("deepseek_v3-fp8", """{"quant_method": "fp8", "weight_block_size": [16, 32], "fmt": "e5m2"}""", "fmt is \"e5m2\"; supported is e4m3")]
    [InlineData("deepseek_v3-fp8", """{"quant_method": "fp8", "weight_block_size": [16, 32], "scale_fmt": "e8"}""", "scale_fmt is \"e8\"; supported is float or ue8m0")]
    [InlineData("deepseek_v3-fp8", """{"quant_method": "fp8", "weight_block_size": [32, 16]}""", "_proj.weight_scale_inv\" has shape [")]
    [InlineData("gpt_oss-mxfp4", """{"quant_method": "fp8", "weight_block_size": [128, 128]}""", "quant_method is \"fp8\"; supported is mxfp4, or")]
    public void Configurations_are_refused_by_field(string model, string quantization, string expected)
    {
        using var copy = Copy(model);
        copy.EditConfig(config => config["quantization_config"] = JsonNode.Parse(quantization));
        Refused(copy, expected);
    }

    [Theory]
    [InlineData("deepseek_v3-fp8", "dtype", "\"float16\"", "dtype is \"float16\"; supported is bfloat16 beside weights in fp8")]
    [InlineData("deepseek_v3-fp8", "compression_config", """{"format": "float-quantized"}""", "compression_config is {\"format\":\"float-quantized\"}; supported is a checkpoint in")]
    [InlineData("deepseek_v3-fp8", "quantization_config", "null", "has dtype F8_E4M3; supported are F32, F16 and BF16, and F8_E4M3 for matrices where quantization_config in config.json says fp8")]
    [InlineData("gpt_oss-mxfp4", "quantization_config", "null", "gate_up_proj\" is missing; config.json asks for it (\"model.layers.0.mlp.experts.gate_up_proj_blocks\" is there: weights in mxfp4 need a quantization_config that says so)")]
    [InlineData("gpt_oss-mxfp4", "hidden_size", "48", "gate_up_proj_blocks\" has rows of 48 values; mxfp4 has blocks of 32, so that hidden_size and intermediate_size must be multiples of it")]
    [InlineData("gpt_oss-mxfp4", "intermediate_size", "64", "gate_up_proj_blocks\" has shape [6, 64, 2, 16]; config.json asks for [6, 128, 2, 16]")]
    public void Fields_beside_it_are_refused_too(string model, string field, string value, string expected)
    {
        using var copy = Copy(model);
        copy.EditConfig(config => config[field] = value.StartsWith('{') ? JsonNode.Parse(value) : value == "null" ? null : JsonNode.Parse(value));
        Refused(copy, expected);
    }

    [Fact]
    public void A_family_with_all_experts_in_one_tensor_has_no_form_in_fewer_bits()
    {
        using var copy = TestModels.Copy(TestModels.Golden("granitemoe"));
        copy.EditConfig(config => config["quantization_config"] = JsonNode.Parse("""{"quant_method": "fp8", "weight_block_size": [128, 128]}"""));
        Refused(copy, "quant_method is \"fp8\"; supported is a checkpoint in fp32, fp16 or bf16 without quantization_config");
    }

    [Fact]
    public void Weights_in_bf16_under_a_configuration_for_mxfp4_are_refused()
    {
        using var copy = TestModels.Copy(TestModels.Golden("gpt_oss"));
        copy.EditConfig(config => config["quantization_config"] = JsonNode.Parse("""{"quant_method": "mxfp4"}"""));
        Refused(copy, "gate_up_proj_blocks\" is missing; config.json asks for it (\"model.layers.0.mlp.experts.gate_up_proj\" is there: weights that are not in mxfp4 need no quantization_config)");
    }

    [Theory]
    [InlineData(Scales, "absent", $"tensor \"{Scales}\" is missing")]
    [InlineData(Blocks, "absent", $"tensor \"{Blocks}\" is missing")]
    [InlineData(Scales, "I8", $"tensor \"{Scales}\" has dtype I8; mxfp4 is stored as U8")]
    [InlineData(Blocks, "F8_E4M3", $"tensor \"{Blocks}\" has dtype F8_E4M3; mxfp4 is stored as U8")]
    [InlineData(Blocks, "flat", $"tensor \"{Blocks}\" has shape [6144]; config.json asks for [6, 64, 1, 16]")]
    [InlineData(Scales, "flat", $"tensor \"{Scales}\" has shape [384]; config.json asks for [6, 64, 1]")]
    [InlineData(Scales, "last is 255", $"tensor \"{Scales}\": 1 of 64 scales are 255, which is NaN in e8m0; they must be from 0 to 254")]
    [InlineData("model.layers.1.mlp.experts.down_proj", "beside", "tensor \"model.layers.1.mlp.experts.down_proj\" is there beside \"model.layers.1.mlp.experts.down_proj_blocks\"; there must be one of them")]
    [InlineData("model.layers.1.mlp.experts.down_proj_bias", "absent", "down_proj_bias\" is missing")]
    public void Tensors_of_mxfp4_that_are_not_right_are_refused_by_name(string name, string what, string expected) => Changed("gpt_oss-mxfp4", name, what, expected);

    [Theory]
    [InlineData(Expert, "absent", $"tensor \"{Expert}\" is missing")]
    [InlineData($"{Expert}_scale_inv", "absent", $"tensor \"{Expert}\" has dtype F8_E4M3, and its scales \"{Expert}_scale_inv\" are missing")]
    [InlineData($"{Dense}_scale_inv", "absent", $"tensor \"{Dense}\" has dtype F8_E4M3, and its scales \"{Dense}_scale_inv\" are missing")]
    [InlineData(Expert, "F8_E5M2", $"tensor \"{Expert}\" has dtype F8_E5M2; supported are F32, F16 and BF16")]
    [InlineData(Dense, "U8", $"tensor \"{Dense}\" has dtype U8; supported are F32, F16 and BF16")]
    [InlineData($"{Dense}_scale_inv", "I32", $"tensor \"{Dense}_scale_inv\" has dtype I32; supported are F32, F16 and BF16")]
    [InlineData($"{Expert}_scale_inv", "flat", $"tensor \"{Expert}_scale_inv\" has shape [4]; config.json asks for [2, 2]")]
    [InlineData(Expert, "flat", $"tensor \"{Expert}\" has shape [2048]; config.json asks for [32, 64]")]
    [InlineData(Expert, "last is 255", $"tensor \"{Expert}\": 1 of 2048 values are NaN or infinite")]
    [InlineData(Dense, "last is 255", $"tensor \"{Dense}\": 1 of 4096 values are NaN or infinite")]
    [InlineData($"{Dense}_scale_inv", "last are 255", $"tensor \"{Dense}_scale_inv\": 1 of 8 values are NaN or infinite")]
    [InlineData("model.norm.weight_scale_inv", "beside", "tensor \"model.norm.weight_scale_inv\" has no place in deepseek_v3")]
    [InlineData("model.layers.1.self_attn.o_proj.weight_scale", "beside", "o_proj.weight_scale\" has no place in deepseek_v3")]
    [InlineData("model.layers.1.self_attn.o_proj.input_scale", "beside", "o_proj.input_scale\" has no place in deepseek_v3")]
    public void Tensors_of_fp8_that_are_not_right_are_refused_by_name(string name, string what, string expected) => Changed("deepseek_v3-fp8", name, what, expected);

    /// <summary>The largest values under the two largest scales are 2^128 and more, which no floating type here holds.</summary>
    [Theory]
    [InlineData(252, 0x77, false)]
    [InlineData(253, 0x55, false)]
    [InlineData(253, 0x76, true)]
    [InlineData(254, 0x33, false)]
    [InlineData(254, 0x44, true)]
    public void What_is_too_large_is_refused_and_what_is_not_is_read(byte scale, byte pair, bool tooLarge)
    {
        using var copy = Copy("gpt_oss-mxfp4");
        copy.EditTensors(tensors =>
        {
            tensors[Scales].Bytes[^1] = scale;
            tensors[Blocks].Bytes.AsSpan(^16).Fill(pair);
        });
        if (tooLarge)
            Refused(copy, $"tensor \"{Blocks}\": 32 of 2048 values are NaN or infinite; all weights must be finite numbers");
        else
            TestModels.Load(copy.Path).Dispose();
    }

    [Fact]
    public void What_scales_make_too_large_is_refused_too()
    {
        using var copy = Copy("deepseek_v3-fp8");
        copy.EditTensors(tensors => BinaryPrimitives.WriteSingleLittleEndian(tensors[$"{Expert}_scale_inv"].Bytes, float.MaxValue));
        Refused(copy, $"tensor \"{Expert}\": ");
        Refused(copy, "values are NaN or infinite; all weights must be finite numbers");
    }

    /// <summary>Scales may be powers of two and say so, and may be in bf16 or fp16.</summary>
    [Fact]
    public void The_form_of_scales_changes_nothing_where_it_is_exact()
    {
        float[]? expected = null;
        foreach (var type in new[] { "F32", "BF16", "F16" })
        {
            using var copy = Copy("deepseek_v3-fp8");
            copy.EditConfig(config => config["quantization_config"]!["scale_fmt"] = "ue8m0");
            copy.EditTensors(tensors =>
            {
                foreach (var name in tensors.Keys.Where(n => n.EndsWith("_scale_inv", StringComparison.Ordinal)).ToArray())
                    tensors[name] = PowersOfTwo(tensors[name], type);
            });
            using var model = TestModels.Load(copy.Path);
            var logits = TestModels.Prefill(model, [.. Enumerable.Range(3, 20)], 20);
            expected ??= logits;
            Assert.Equal(expected, logits);
        }
    }

    [Fact]
    public void A_layer_that_is_left_out_may_be_in_fp8()
    {
        using var copy = Copy("deepseek_v3-fp8");
        copy.EditConfig(config => config["num_hidden_layers"] = 2);
        TestModels.Load(copy.Path).Dispose();
    }

    [Theory]
    [InlineData("gpt_oss-mxfp4")]
    [InlineData("deepseek_v3-fp8")]
    public void A_pack_says_which_weights_it_was_made_from(string name)
    {
        using var copy = Copy(name);
        var pack = ModelPacker.Pack(copy.Path, null, ExpertQuantization.None, null, CancellationToken.None);
        Assert.Equal("bf16", pack.Type);
        copy.EditTensors(tensors => tensors.First(t => t.Key.Contains(".experts.", StringComparison.Ordinal) && t.Value.Type is "U8" or "F8_E4M3").Value.Bytes[0] ^= 1);
        Refused(copy, "was made from other weights");
    }

    /// <summary>Whatever a header says of any tensor and whatever its bytes are, the model loads or is refused in one line.</summary>
    [Theory]
    [InlineData("gpt_oss-mxfp4", 11)]
    [InlineData("deepseek_v3-fp8", 12)]
    public void Whatever_the_tensors_are_they_are_read_or_refused(string name, int seed)
    {
        var random = new Random(seed);
        string[] types = ["U8", "I8", "F8_E4M3", "F8_E5M2", "BF16", "F16", "F32"];
        var refused = 0;
        for (var i = 0; i < 60; i++)
        {
            using var copy = Copy(name);
            copy.EditTensors(tensors =>
            {
                var (victim, tensor) = tensors.ElementAt(random.Next(tensors.Count));
                var size = tensor.Bytes.Length / (int)Math.Max(1, tensor.Shape.Aggregate(1L, (a, b) => a * b));
                switch (random.Next(4))
                {
                    case 0:
                        var type = types[random.Next(types.Length)];
                        var other = type is "BF16" or "F16" ? 2 : type == "F32" ? 4 : 1;
                        long[] shape = [.. tensor.Shape[..^1], tensor.Shape[^1] * size / other];
                        var bytes = tensor.Bytes[..(int)(shape.Aggregate(1L, (a, b) => a * b) * other)];
                        tensors[victim] = new(type, shape, bytes);
                        break;
                    case 1:
                        tensors[victim] = tensor with { Shape = [.. tensor.Shape.Reverse()] };
                        break;
                    case 2:
                        random.NextBytes(tensor.Bytes);
                        break;
                    default:
                        tensors.Remove(victim);
                        break;
                }
            });
            try
            {
                TestModels.Load(copy.Path).Dispose();
            }
            catch (UserInputException e)
            {
                refused++;
                Assert.StartsWith(copy.Path, e.Message, StringComparison.Ordinal);
                Assert.DoesNotContain('\n', e.Message);
            }
        }
        Assert.InRange(refused, 30, 60);
    }

    private static TemporaryModel Copy(string name) => TestModels.Copy(Path.Combine(TestModels.Data, "quantized", name));

    private static void Changed(string model, string name, string what, string expected)
    {
        using var copy = Copy(model);
        copy.EditTensors(tensors =>
        {
            tensors.TryGetValue(name, out var tensor);
            switch (what)
            {
                case "absent":
                    Assert.True(tensors.Remove(name));
                    break;
                case "beside":
                    tensors.Add(name, new("BF16", [1], new byte[2]));
                    break;
                case "flat":
                    tensors[name] = tensor! with { Shape = [tensor.Shape.Aggregate((a, b) => a * b)] };
                    break;
                case "last is 255":
                    tensor!.Bytes[^1] = 255;
                    break;
                case "last are 255":
                    tensor!.Bytes.AsSpan(^4).Fill(255);
                    break;
                default:
                    tensors[name] = tensor! with { Type = what };
                    break;
            }
        });
        Refused(copy, expected);
    }

    /// <summary>The powers of two below scales in fp32, in a type that holds them.</summary>
    private static StoredTensor PowersOfTwo(StoredTensor scales, string type)
    {
        using var bytes = new MemoryStream();
        for (var at = 0; at < scales.Bytes.Length; at += 4)
        {
            var bits = BinaryPrimitives.ReadUInt32LittleEndian(scales.Bytes.AsSpan(at)) & 0xFF80_0000;
            bytes.Write(type switch
            {
                "F32" => BitConverter.GetBytes(bits),
                "BF16" => BitConverter.GetBytes((ushort)(bits >> 16)),
                _ => BitConverter.GetBytes((Half)BitConverter.UInt32BitsToSingle(bits)),
            });
        }
        return scales with { Type = type, Bytes = bytes.ToArray() };
    }

    private static void Refused(TemporaryModel model, string expected)
    {
        var refused = Assert.Throws<UserInputException>(() => TestModels.Load(model.Path).Dispose());
        Assert.Contains(expected, refused.Message, StringComparison.Ordinal);
        Assert.StartsWith(model.Path, refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refused.Message);
    }
}
