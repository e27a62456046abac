using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Checkpoints;
using Moebius.Inference.Models;

namespace Moebius.Inference.Tests.Models;

/// <summary>
/// A checkpoint in fewer bits is the checkpoint in bf16 that its formats' definitions make of it, value by value: the same
/// logits, the same packs and, of these, the same int8 and int4.
/// </summary>
public class DequantizedTests
{
    [Theory]
    [InlineData("gpt_oss-mxfp4")]
    [InlineData("deepseek_v3-fp8")]
    [InlineData("qwen3_moe-fp8-ragged")]
    public void Logits_and_packs_are_those_of_the_same_weights_in_bf16(string name)
    {
        using var stored = TestModels.Copy(Path.Combine(TestModels.Data, "quantized", name));
        using var plain = TestModels.Copy(stored.Path);
        var blocks = Architectures.Describe(ModelConfig.Read(plain.Path)).Fp8;
        plain.EditTensors(tensors =>
        {
            foreach (var weights in tensors.Keys.Where(n => n.EndsWith("_blocks", StringComparison.Ordinal)).Select(n => n[..^"_blocks".Length]).ToArray())
                FromMxfp4(tensors, weights);
            foreach (var weights in tensors.Where(t => t.Value.Type == "F8_E4M3").Select(t => t.Key).ToArray())
                FromFp8(tensors, weights, blocks!);
        });
        plain.EditConfig(config => config.Remove("quantization_config"));
        foreach (var storage in Enum.GetValues<WeightStorage>())
            Assert.Equal(Logits(plain.Path, storage), Logits(stored.Path, storage));
        foreach (var quantization in Enum.GetValues<ExpertQuantization>())
        {
            var expected = Experts(plain.Path, quantization);
            Assert.Contains(expected, value => value != 0);
            Assert.True(expected.AsSpan().SequenceEqual(Experts(stored.Path, quantization)), $"{name}, {quantization}");
        }
    }

    private static byte[] Experts(string directory, ExpertQuantization quantization)
    {
        var pack = ModelPacker.Pack(directory, null, quantization, null, CancellationToken.None);
        var bytes = File.ReadAllBytes(pack.Path);
        File.Delete(pack.Path);
        return bytes[^(int)(pack.Experts * pack.ExpertBytes)..];
    }

    /// <summary>[experts, outputs, inputs / 32, 16] and scales become [experts, inputs, outputs].</summary>
    private static void FromMxfp4(SortedDictionary<string, StoredTensor> tensors, string name)
    {
        var blocks = tensors[name + "_blocks"];
        var scales = tensors[name + "_scales"];
        int experts = (int)blocks.Shape[0], outputs = (int)blocks.Shape[1], inputs = (int)blocks.Shape[2] * 32;
        var values = new ushort[experts * inputs * outputs];
        for (var e = 0; e < experts; e++)
        {
            for (var o = 0; o < outputs; o++)
            {
                for (var i = 0; i < inputs; i++)
                {
                    var at = (((e * outputs) + o) * inputs) + i;
                    var half = (blocks.Bytes[at / 2] >> (at % 2 * 4)) & 0xF;
                    values[(((e * inputs) + i) * outputs) + o] = Mxfp4.Value(half, scales.Bytes[at / 32]);
                }
            }
        }
        tensors.Remove(name + "_blocks");
        tensors.Remove(name + "_scales");
        tensors[name] = new StoredTensor("BF16", [experts, inputs, outputs], MemoryMarshal.AsBytes<ushort>(values).ToArray());
    }

    private static void FromFp8(SortedDictionary<string, StoredTensor> tensors, string name, Fp8Blocks blocks)
    {
        var weights = tensors[name];
        var scales = tensors[name + "_scale_inv"];
        int rows = (int)weights.Shape[0], columns = (int)weights.Shape[1], across = (int)scales.Shape[1];
        var values = new ushort[rows * columns];
        for (var r = 0; r < rows; r++)
        {
            for (var c = 0; c < columns; c++)
            {
                var at = (r / blocks.Rows * across) + (c / blocks.Columns);
                var scale = scales.Type == "F32"
                    ? BinaryPrimitives.ReadSingleLittleEndian(scales.Bytes.AsSpan(4 * at))
                    : HalfTypes.ToSingle(BinaryPrimitives.ReadUInt16LittleEndian(scales.Bytes.AsSpan(2 * at)), TensorType.BF16);
                values[(r * columns) + c] = HalfTypes.ToBFloat16(Fp8.Value(weights.Bytes[(r * columns) + c]) * scale);
            }
        }
        tensors.Remove(name + "_scale_inv");
        tensors[name] = new StoredTensor("BF16", weights.Shape, MemoryMarshal.AsBytes<ushort>(values).ToArray());
    }

    private static float[] Logits(string directory, WeightStorage storage)
    {
        using var model = TestModels.Load(directory, weights: storage);
        using var kv = model.CreateSequence();
        return model.Forward([new SequenceChunk(kv, Enumerable.Range(3, 60).ToArray(), LogitsFor.All)])[0];
    }
}
