using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Models;
using Moebius.Inference.Verify;

namespace Moebius.Inference.Tests.Experts;

/// <summary>
/// Every family, at every budget, with and without prefetch, from either file, read in either way: the reference's
/// tokens, and bit for bit the logits of a plain run with all experts resident.
/// </summary>
[Trait("Category", "Component")]
public class ExactnessTests
{
    private static readonly PrefetchSpec Adaptive = new() { Mode = PrefetchMode.Adaptive };

    public static TheoryData<string> Families => new(new[] { "golden", "quantized" }
        .SelectMany(group => Directory.GetDirectories(Path.Combine(TestModels.Data, group)).Order(StringComparer.Ordinal))
        .Select(d => Path.GetRelativePath(TestModels.Data, d)));

    [Theory]
    [MemberData(nameof(Families))]
    public void Budget_prefetch_file_and_reads_change_no_bit(string family)
    {
        using var copy = TestModels.Copy(Path.Combine(TestModels.Data, family));
        var reference = ExpectedOutputs.Read(copy.Path);
        Run plain;
        long all, least = TestModels.SmallestBudget(copy.Path);
        using (var model = TestModels.Load(copy.Path))
        {
            plain = Run.Of(model, reference);
            all = model.Experts.BudgetBytes;
        }
        Assert.Equal(reference.GreedyOutputs[0], plain.Greedy);
        var error = plain.Logits.Zip(reference.Logits[0], (a, b) => Math.Abs((double)a - b)).Max();
        Assert.True(error <= ModelVerifier.Tolerance, $"{error}");

        var pack = ModelPacker.Pack(copy.Path, null, ExpertQuantization.None, null, CancellationToken.None).Path;
        foreach (var packed in new[] { true, false })
        {
            if (!packed)
                File.Delete(pack);
            foreach (var tier in new[] { SlowTier.DirectIO, SlowTier.MemoryMap })
            {
                foreach (var budget in new[] { least, all / 2, all })
                {
                    // Where all experts are resident nothing is ever fetched ahead: one way of prefetching stands for all.
                    foreach (var prefetch in budget == all ? [Adaptive] : new[] { new(), new() { Mode = PrefetchMode.Fixed, Horizon = 2 }, Adaptive })
                    {
                        using var model = ModelLoader.Load(copy.Path, new ModelLoadOptions { ExpertBudgetBytes = Math.Max(budget, least), Threads = 1, SlowTier = tier, PrefetchSpec = prefetch });
                        var what = $"{family}, budget {budget} of {all}, {model.Info.ExpertTier}, {prefetch.Mode}";
                        Assert.StartsWith(packed ? "pack " : "safetensors", model.Info.ExpertTier, StringComparison.Ordinal);
                        var run = Run.Of(model, reference);
                        Assert.True(plain.Logits.AsSpan().SequenceEqual(run.Logits), what);
                        Assert.True(plain.Greedy.AsSpan().SequenceEqual(run.Greedy), what);
                        Assert.InRange(model.Experts.ResidentBytes, 1, Math.Max(budget, least));
                        if (budget != all)
                            Assert.True(model.Experts.Misses > 0, what);
                    }
                }
            }
        }
    }

    private sealed record Run(float[] Logits, int[] Greedy)
    {
        public static Run Of(ICausalModel model, ExpectedOutputs reference)
        {
            using var kv = model.CreateSequence();
            var logits = model.Forward([new SequenceChunk(kv, reference.Inputs[0], LogitsFor.All)])[0];
            return new Run(logits, ModelVerifier.Greedy(model, reference.GreedyInputs[0], reference.GreedyOutputs[0].Length));
        }
    }
}
