using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Models;
using Moebius.Inference.Server;

namespace Moebius.Inference.Tests.Server;

public class ServeOptionsTests
{
    [Fact]
    public void Flags_override_the_configuration()
    {
        var options = Resolve("modelName: configured\nexperts:\n  fastMemory: 12Mi\nserving:\n  port: 9000\n  threads: 3\n  kvMemory: 64Mi\n  drainTimeout: 5s\nblockTokens: 32\n");
        Assert.Equal(("configured", 9000, 12L << 20, 3, 32), (options.ModelName, options.Listen.Port, options.Experts.BudgetBytes, options.Threads, options.BlockTokens));
        Assert.Equal(1024, Resolve("modelName: a\nserving:\n  threads: 1024\n").Threads);
        Assert.Equal((64L << 20, TimeSpan.FromSeconds(5)), (options.KVMemoryBytes, options.DrainTimeout));
        var overridden = Resolve("modelName: configured\nexperts:\n  fastMemory: 12Mi\n", flags => flags with { Name = "named", Listen = "localhost:7000", Threads = 1, Experts = new("4Mi") });
        Assert.Equal((ToolCallParser.Auto, ToolCallParser.Mistral, ToolCallParser.None), (options.ToolCallParser, Resolve("modelName: a\nserving:\n  toolCallParser: Mistral\n").ToolCallParser, Resolve("modelName: a\nserving:\n  toolCallParser: Mistral\n", flags => flags with { ToolCallParser = "None" }).ToolCallParser));
        Assert.Equal((ReasoningParser.Auto, ReasoningParser.Think, ReasoningParser.None), (options.ReasoningParser, Resolve("modelName: a\nserving:\n  reasoningParser: Think\n").ReasoningParser, Resolve("modelName: a\nserving:\n  reasoningParser: Think\n", flags => flags with { ReasoningParser = "None" }).ReasoningParser));
        Assert.StartsWith("--reasoning-parser: 'qwen3' is not one of Auto, None, Think, ", Assert.Throws<UserInputException>(() => Resolve("modelName: a\n", flags => flags with { ReasoningParser = "qwen3" })).Message, StringComparison.Ordinal);
        Assert.StartsWith("--tool-call-parser: 'hermes' is not one of Auto, None, Hermes, ", Assert.Throws<UserInputException>(() => Resolve("modelName: a\n", flags => flags with { ToolCallParser = "hermes" })).Message, StringComparison.Ordinal);
        Assert.Null(options.MetricsListen);
        Assert.Equal("127.0.0.1:9400", Resolve("modelName: a\n", flags => flags with { MetricsListen = "localhost:9400" }).MetricsListen?.ToString());
        Assert.StartsWith("--metrics-listen: 127.0.0.1:8000 is where the API listens (0.0.0.0:8000): ", Assert.Throws<UserInputException>(() => Resolve("modelName: a\n", flags => flags with { MetricsListen = "localhost:8000" })).Message, StringComparison.Ordinal);
        Assert.Equal((2048, 4L * 4096), (options.MostConnections, Resolve("modelName: a\nserving:\n  maxConcurrentSequences: 96\n  maxQueuedRequests: 4000\n").MostConnections));
        Assert.Equal(("named", "127.0.0.1:7000", 4L << 20, 1), (overridden.ModelName, overridden.Listen.ToString(), overridden.Experts.BudgetBytes, overridden.Threads));
    }

    [Theory]
    [InlineData("modelName: a\nservin: {}\n", "servin: unknown field")]
    [InlineData("modelName: a\nexperts:\n  slowTier: HostMemory\n", "experts.slowTier: HostMemory is for a fast tier on a device, and this build computes on the processor")]
    [InlineData("modelName: a\nexperts:\n  prefetch:\n    mode: Fixed\n", "experts.prefetch: horizon must be set for mode Fixed and only then")]
    [InlineData("modelName: a\nexperts:\n  prefetch:\n    horizon: 3\n", "experts.prefetch: horizon must be set for mode Fixed and only then")]
    [InlineData("modelName: a\nexperts:\n  prefetch:\n    stallThreshold: 0\n", "experts.prefetch.stallThreshold: 0 is out of range: use a whole number from 1 to 1000")]
    [InlineData("modelName: a\nexperts: null\n", "experts: ")]
    [InlineData("modelName: a\nexperts:\n  prefetch: null\n", "experts.prefetch: must not be null: leave the field out for its default")]
    [InlineData("modelName: a\nserving: null\n", "serving: must not be null: leave the field out for its default")]
    [InlineData("modelName: null\n", "modelName: ")]
    [InlineData("modelName: a\nblockTokens: 0\n", "blockTokens: 0 is out of range: use a whole number from 1 to 1024")]
    [InlineData("modelName: a\nserving:\n  maxBatchTokens: 3\n", "serving.maxBatchTokens: 3 is out of range: use a whole number from 16 to 65536")]
    [InlineData("modelName: a\nserving:\n  maxConcurrentSequences: 0\n", "serving.maxConcurrentSequences: 0 is out of range")]
    [InlineData("modelName: a\nserving:\n  computeType: BFloat16\n", "serving.computeType: BFloat16 is not available")]
    [InlineData("modelName: a\nserving:\n  threads: 1025\n", "serving.threads: 1025 is out of range")]
    [InlineData("modelName: a\nserving:\n  port: 70000\n", "serving.port: 70000 is out of range")]
    [InlineData("serving: {}\n", "required field missing")]
    public void A_configuration_it_cannot_honour_is_refused_by_field(string config, string message) =>
        Assert.Contains(message, Assert.Throws<UserInputException>(() => Resolve(config)).Message, StringComparison.Ordinal);

    [Fact]
    public void Flags_of_the_experts_are_checked_by_name()
    {
        Assert.Equal((SlowTier.MemoryMap, 2, PrefetchMode.Fixed, 3), Experts(new(SlowTier: "MemoryMap", Readers: 2, Prefetch: "Fixed", Horizon: 3)));
        Assert.Equal("--slow-tier: 'mmap' is not one of DirectIO, MemoryMap", Refused(new(SlowTier: "mmap")));
        Assert.Equal("--slow-tier: 'DirectIO,MemoryMap' is not one of DirectIO, MemoryMap", Refused(new(SlowTier: "DirectIO,MemoryMap")));
        Assert.StartsWith("--slow-tier: HostMemory is for a fast tier on a device", Refused(new(SlowTier: "HostMemory")), StringComparison.Ordinal);
        Assert.Equal("--prefetch: '1' is not one of OnDemand, Fixed, Adaptive", Refused(new(Prefetch: "1")));
        Assert.Equal("--horizon: 9 is out of range: from 1 to 8", Refused(new(Prefetch: "Fixed", Horizon: 9)));
        Assert.Equal("--horizon: missing: mode Fixed needs it, from 1 to 8", Refused(new(Prefetch: "Fixed")));
        Assert.Equal("--horizon: 2 is given with mode OnDemand: only mode Fixed has a horizon", Refused(new(Horizon: 2)));
        Assert.Equal("--predictor: 'a' is given with mode OnDemand: only modes Fixed and Adaptive predict", Refused(new(Predictor: "a")));
        Assert.Equal("--readers: 0 is out of range: from 1 to 64", Refused(new(Readers: 0)));

        static (SlowTier, int, PrefetchMode, int?) Experts(ExpertFlags.Given given)
        {
            var experts = Resolve("modelName: a\n", flags => flags with { Experts = given }).Experts;
            return (experts.SlowTier, experts.Readers, experts.Prefetch.Mode, experts.Prefetch.Horizon);
        }

        static string Refused(ExpertFlags.Given given) => Assert.Throws<UserInputException>(() => Experts(given)).Message;
    }

    [Fact]
    public void Quantisation_comes_from_the_configuration_or_the_flag()
    {
        const string Configured = "modelName: a\nexperts:\n  quantization: Int8\n";
        Assert.Equal(ExpertQuantization.None, Resolve("modelName: a\n").Experts.Quantization);
        Assert.Equal(ExpertQuantization.Int8, Resolve(Configured).Experts.Quantization);
        Assert.Equal(ExpertQuantization.Int4, Resolve(Configured, flags => flags with { Experts = new(Quantize: "int4") }).Experts.Quantization);
        Assert.Equal(ExpertQuantization.None, Resolve(Configured, flags => flags with { Experts = new(Quantize: "none") }).Experts.Quantization);
        var refused = Assert.Throws<UserInputException>(() => Resolve(Configured, flags => flags with { Experts = new(Quantize: "int3") }));
        Assert.Equal("--quantize is \"int3\"; it must be none, int8 or int4", refused.Message);
    }

    [Fact]
    public void A_socket_that_no_kernel_can_have_is_refused() =>
        Assert.EndsWith("has 121 bytes; the path of a socket may have 107", Assert.Throws<UserInputException>(() => Resolve("modelName: a\n", flags => flags with { KVSocket = "/" + new string('s', 120) })).Message, StringComparison.Ordinal);

    [Fact]
    public void A_missing_model_directory_is_named() =>
        Assert.Contains("'/nowhere' is not a directory", Assert.Throws<UserInputException>(() => Resolve("modelName: a\n", flags => flags with { Model = "/nowhere" })).Message, StringComparison.Ordinal);

    private static ServeOptions Resolve(string config, Func<ServeOptions.Flags, ServeOptions.Flags>? change = null)
    {
        using var directory = new TemporaryDirectory();
        var path = Path.Combine(directory.Path, "config.yaml");
        File.WriteAllText(path, config);
        var flags = new ServeOptions.Flags(Fixtures.Model, path, null, null, null, null, null, new());
        return ServeOptions.Resolve(change?.Invoke(flags) ?? flags, _ => null);
    }
}
