using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Moebius.Inference.Kernels;
using TorchSharp;

namespace Moebius.Inference.Tests.Kernels;

/// <summary>The hand-written kernels against torch's.</summary>
public unsafe class KernelTests
{
    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(1, 7, 33)]
    [InlineData(3, 64, 48)]
    [InlineData(5, 6, 16)]
    [InlineData(37, 70, 130)]
    [InlineData(64, 300, 256)]
    public void Products_match_torch_in_both_types_and_any_number_of_threads(int rows, int columns, int k)
    {
        using var scope = torch.NewDisposeScope();
        torch.manual_seed(rows + columns + k);
        var x = torch.randn([rows, k]);
        var bias = torch.randn([columns]);
        foreach (var type in new[] { torch.ScalarType.Float32, torch.ScalarType.BFloat16 })
        {
            var data = torch.randn([columns, k]).to(type);
            var expected = torch.nn.functional.linear(x, data.to(torch.ScalarType.Float32), bias);
            var format = type == torch.ScalarType.BFloat16 ? WeightFormat.BFloat16 : WeightFormat.Float32;
            var weight = new LinearWeight(Address(data), format, columns, k, Vector(bias));
            foreach (var threads in new[] { 1, 3 })
            {
                using var kernels = new TensorKernels(new Workers(threads));
                var actual = Tensor(kernels.Linear(View(x), weight));
                Assert.True((actual - expected).abs().max().item<float>() < 1e-4f * MathF.Sqrt(k));
            }
        }
    }

    [Theory]
    [InlineData(4, 2, 32, null, false)]
    [InlineData(6, 1, 20, 5, false)]
    [InlineData(3, 3, 72, null, true)]
    [InlineData(14, 2, 64, 9, true)]
    [InlineData(5, 1, 96, null, false)]
    public void Attention_matches_torch(int heads, int kvHeads, int dim, int? window, bool withSinks)
    {
        using var scope = torch.NewDisposeScope();
        torch.manual_seed(heads);
        const int Tokens = 23, BlockTokens = 8;
        var shape = new AttentionShape(heads, kvHeads, dim, dim, 0.3f, window, false);
        var q = torch.randn([Tokens, heads * dim]);
        var k = torch.randn([24, kvHeads * dim]);
        var v = torch.randn([24, kvHeads * dim]);
        var sinks = withSinks ? torch.randn([heads]) : null;
        var y = torch.empty([Tokens, heads * dim]);
        // Keys and values of a block may lie anywhere: here the values are that far behind the keys.
        nint[] blocks = [.. Enumerable.Range(0, 3).Select(b => (nint)(Floats(k) + b * BlockTokens * shape.KeyRow))];
        var kv = new KvRows(blocks, BlockTokens, 0, (nint)Floats(v) - (nint)Floats(k));
        using var workers = new Workers(2);
        AttentionKernel.Run(workers, shape, View(q), [new AttentionSequence(kv, 0, 0, Tokens)], sinks is null ? null : Floats(sinks), View(y));

        var qh = q.view(Tokens, heads, dim).transpose(0, 1);
        var kh = k.narrow(0, 0, Tokens).view(Tokens, kvHeads, dim).repeat_interleave(heads / kvHeads, 1).transpose(0, 1);
        var vh = v.narrow(0, 0, Tokens).view(Tokens, kvHeads, dim).repeat_interleave(heads / kvHeads, 1).transpose(0, 1);
        var scores = qh.matmul(kh.transpose(1, 2)) * 0.3f;
        for (var i = 0; i < Tokens; i++)
        {
            for (var j = 0; j < Tokens; j++)
            {
                if (j > i || (window is int w && j <= i - w))
                    scores.select(1, i).select(1, j).fill_(float.NegativeInfinity);
            }
        }
        if (sinks is not null)
            scores = torch.cat([scores, sinks.view(heads, 1, 1).expand(heads, Tokens, 1)], 2);
        var expected = torch.softmax(scores, 2).narrow(2, 0, Tokens).matmul(vh).transpose(0, 1).reshape(Tokens, heads * dim);
        Assert.True((y - expected).abs().max().item<float>() < 1e-5f);
    }

    [Fact]
    public void Norms_match_torch()
    {
        using var scope = torch.NewDisposeScope();
        using var kernels = new TensorKernels(new Workers(1));
        torch.manual_seed(1);
        var x = torch.randn([5, 70]) * 3 + 1;
        var w = torch.randn([70]);
        var b = torch.randn([70]);
        var rms = x * torch.rsqrt(x.pow(2).mean([1], keepdim: true) + 1e-5f) * w;
        Assert.True((Tensor(kernels.RmsNorm(View(x), Vector(w), 1e-5f)) - rms).abs().max().item<float>() < 1e-5f);
        var layer = torch.nn.functional.layer_norm(x, [70], w, b, 1e-5);
        Assert.True((Tensor(kernels.LayerNorm(View(x), Vector(w), Vector(b), 1e-5f)) - layer).abs().max().item<float>() < 1e-5f);
    }

    [Fact]
    public void Norms_of_a_row_of_zeros_are_numbers()
    {
        using var scope = torch.NewDisposeScope();
        using var kernels = new TensorKernels(new Workers(1));
        torch.Tensor x = torch.zeros([1, 40]), w = torch.ones([40]), b = torch.full([40], 0.5f);
        Assert.Equal(0, Tensor(kernels.RmsNorm(View(x), Vector(w), 1e-5f)).abs().max().item<float>());
        Assert.Equal(0, (Tensor(kernels.LayerNorm(View(x), Vector(w), Vector(b), 1e-5f)) - b).abs().max().item<float>());
    }

    [Theory]
    [InlineData(2, 3, 2, 3)]
    [InlineData(20, 30, 7, 7)]
    [InlineData(-20, 1, -20, 1)]
    [InlineData(1, -30, 1, -7)]
    public void The_clamped_gate_is_at_most_7_and_what_it_multiplies_within_7_of_0(float gate, float up, double clampedGate, double clampedUp)
    {
        float* g = stackalloc float[16], u = stackalloc float[16];
        (*g, *u) = (gate, up);
        Activations.Gate(Activation.ClampedSwiglu, g, u, 1);
        Assert.Equal(clampedGate / (1 + Math.Exp(-1.702 * clampedGate)) * (clampedUp + 1), *g, 1e-5);
    }

    [Theory]
    [InlineData("silu")]
    [InlineData("gelu")]
    [InlineData("gelu_pytorch_tanh")]
    [InlineData("relu")]
    [InlineData("quick_gelu")]
    [InlineData("gelu_10")]
    [InlineData("hardswish")]
    [InlineData("laplace")]
    [InlineData("leaky_relu")]
    [InlineData("linear")]
    [InlineData("mish")]
    [InlineData("relu2")]
    [InlineData("relu6")]
    [InlineData("sigmoid")]
    [InlineData("sqrtsoftplus")]
    [InlineData("tanh")]
    public void Activations_match_torch(string name)
    {
        using var scope = torch.NewDisposeScope();
        var x = torch.linspace(-12, 12, 1200);
        var expected = name switch
        {
            "silu" => torch.nn.functional.silu(x),
            "gelu" => torch.nn.functional.gelu(x),
            "relu" => torch.nn.functional.relu(x),
            "quick_gelu" => x * torch.sigmoid(1.702f * x),
            "gelu_10" => torch.nn.functional.gelu(x).clip(-10, 10),
            "hardswish" => torch.nn.functional.hardswish(x),
            "laplace" => 0.5f * (1 + torch.erf((x - 0.707107f) / (0.282095f * MathF.Sqrt(2)))),
            "leaky_relu" => torch.nn.functional.leaky_relu(x, 0.01),
            "linear" => x,
            "mish" => torch.nn.functional.mish(x),
            "relu2" => torch.nn.functional.relu(x).square(),
            "relu6" => torch.nn.functional.relu6(x),
            "sigmoid" => torch.sigmoid(x),
            "sqrtsoftplus" => torch.nn.functional.softplus(x, 1, 20).sqrt(),
            "tanh" => torch.tanh(x),
            _ => 0.5f * x * (1 + torch.tanh(MathF.Sqrt(2 / MathF.PI) * (x + 0.044715f * x.pow(3)))),
        };
        var gate = x.data<float>().ToArray();
        var ones = new float[gate.Length];
        Array.Fill(ones, 1f);
        fixed (float* g = gate, u = ones)
            Activations.Gate(Activations.Parse("test", name), g, u, gate.Length);
        var reference = expected.data<float>().ToArray();
        for (var i = 0; i < gate.Length; i++)
            Assert.Equal(reference[i], gate[i], 2e-6f);
    }

    /// <summary>What went wrong in a model shows in the logits of the request, and ends no step that others share.</summary>
    [Fact]
    public void What_is_no_number_stays_none()
    {
        foreach (var activation in Enum.GetValues<Activation>())
        {
            float[] gate = [.. Enumerable.Repeat(1f, 15), float.NaN, .. Enumerable.Repeat(float.NaN, 16)], up = [.. Enumerable.Repeat(1f, 32)];
            fixed (float* g = gate, u = up)
                Activations.Gate(activation, g, u, 17);
            Assert.Equal((activation, true, true, true), (activation, float.IsFinite(gate[14]), float.IsNaN(gate[15]), float.IsNaN(gate[16])));
        }
    }

    private static byte* Address(torch.Tensor tensor) => (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(tensor.bytes));

    private static float* Floats(torch.Tensor tensor) => (float*)Address(tensor);

    private static WeightVector Vector(torch.Tensor tensor) => new((nint)Address(tensor), (int)tensor.numel());

    private static Rows View(torch.Tensor tensor) => new(Floats(tensor), (int)tensor.shape[0], (int)tensor.shape[1]);

    private static torch.Tensor Tensor(Rows rows) => torch.tensor(new ReadOnlySpan<float>(rows.Data, rows.Count * rows.Width).ToArray(), [rows.Count, rows.Width]);
}
