using Moebius.Crds;
using Moebius.Inference.Models;
using Moebius.Inference.Prediction;

namespace Moebius.Inference.Tests.Prediction;

public class RoutingTraceTests
{
    [Fact]
    public void A_trace_holds_what_the_router_chose_and_does_not_depend_on_chunks()
    {
        var whole = Record([40]);
        var parts = Record([1, 7, 20, 1, 11]);
        Assert.Equal(whole.Tokens, parts.Tokens);
        Assert.Equal(whole.Chosen, parts.Chosen);
        Assert.Equal(whole.Gates, parts.Gates);

        // A softmax router takes the largest of its own gate.
        var gate = new float[whole.Shape.Experts];
        for (var token = 0; token < 40; token++)
        {
            for (var layer = 0; layer < whole.Shape.Layers; layer++)
            {
                whole.GateAt(token, layer, 0, gate);
                var least = whole.ChosenAt(token, layer).ToArray().Min(expert => gate[expert]);
                Assert.Equal(whole.Shape.TopK, whole.ChosenAt(token, layer).ToArray().Distinct().Count());
                Assert.All(Enumerable.Range(0, gate.Length).Except(whole.ChosenAt(token, layer).ToArray().Select(e => (int)e)), e => Assert.True(gate[e] <= least));
            }
        }
    }

    [Fact]
    public void Writing_and_reading_changes_nothing()
    {
        using var folder = new TemporaryDirectory();
        var file = Path.Combine(folder.Path, "trace");
        var trace = Record([30, 10]);
        TraceFile.Write(file, trace);
        var read = TraceFile.Read(file);
        Assert.Equal(trace.Shape, read.Shape);
        Assert.Equal(trace.Tokens, read.Tokens);
        Assert.Equal(trace.Chosen, read.Chosen);
        Assert.Equal(trace.Gates, read.Gates);
        Assert.Equal([file], Directory.GetFiles(folder.Path));

        var part = read.Slice(25, 10);
        Assert.Equal(read.Tokens[25..35], part.Tokens);
        Assert.Equal(read.ChosenAt(27, 1).ToArray(), part.ChosenAt(2, 1).ToArray());
    }

    [Fact]
    public void A_horizon_may_be_as_long_as_the_model_is_deep()
    {
        using var folder = new TemporaryDirectory();
        var file = Path.Combine(folder.Path, "trace");
        const int layers = 70, experts = 2, tokens = 3;
        TraceFile.Write(file, new RoutingTrace(new TraceShape("a", layers, experts, 1, layers, 4, 1, 0), new int[tokens], new ushort[tokens * layers], new byte[tokens * layers * (layers + 1) * experts]));
        Assert.Equal(layers, TraceFile.Read(file).Shape.Horizon);
    }

    [Theory]
    [InlineData(48, 128, 8, 38836)]
    [InlineData(58, 256, 8, 16070)]
    [InlineData(1, 1, 0, 2147483591)]
    public void One_trace_has_as_many_tokens_as_one_array_has_room_for(int layers, int experts, int horizon, int tokens) =>
        Assert.Equal(tokens, TraceRun.TokensIn(Array.MaxLength, layers, experts, horizon));

    [Property]
    public void Probabilities_survive_coding_within_a_few_percent(ushort value)
    {
        var probability = (value + 1) / 65537f;
        var coded = MathF.Exp(-RoutingTrace.Code(probability) / 16f);
        Assert.InRange(coded / probability, 0.96f, 1.04f);
    }

    [Property(MaxTest = 50)]
    public void A_damaged_trace_is_refused(AnyInt position, byte flip)
    {
        using var folder = new TemporaryDirectory();
        var file = Path.Combine(folder.Path, "trace");
        TraceFile.Write(file, new RoutingTrace(new TraceShape("toy", 1, 2, 1, 0, 4, 8, 8), [1, 2], [0, 1], [0, 9, 9, 0]));
        var bytes = File.ReadAllBytes(file);
        bytes[(int)((uint)position.Item % bytes.Length)] ^= (byte)(flip | 1);
        File.WriteAllBytes(file, bytes);
        Assert.Throws<UserInputException>(() => TraceFile.Read(file));
        File.WriteAllBytes(file, bytes[..((int)((uint)position.Item % bytes.Length))]);
        Assert.Throws<UserInputException>(() => TraceFile.Read(file));
    }

    [Fact]
    public void A_trace_whose_numbers_make_no_sense_is_refused_though_its_checksum_is_right()
    {
        using var folder = new TemporaryDirectory();
        var file = Path.Combine(folder.Path, "trace");
        TraceFile.Write(file, new RoutingTrace(new TraceShape("toy", 1, 2, 1, 0, 4, 8, 8), [1, 2], [0, 5], [0, 9, 9, 0]));
        Assert.Contains("expert 5 of 2", Assert.Throws<UserInputException>(() => TraceFile.Read(file)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Memory_is_taken_for_what_a_file_can_hold_and_not_for_what_it_says()
    {
        using var folder = new TemporaryDirectory();
        var file = Path.Combine(folder.Path, "trace");
        BinaryFile.Write(file, "MOEBTRC1"u8, 2, writer =>
        {
            writer.Write("toy");
            // Layers, experts, top-k, horizon, vocabulary; bytes of an expert and of the rest; tokens.
            foreach (var number in new[] { 1, 2, 1, 0, 4 })
                writer.Write(number);
            writer.Write(8L);
            writer.Write(8L);
            writer.Write(1 << 24);
        });
        var before = GC.GetAllocatedBytesForCurrentThread();
        var message = Assert.Throws<UserInputException>(() => TraceFile.Read(file)).Message;
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
        Assert.Contains("tokens is 16777216; it must be from 0 to ", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a\u001b[31mb", 1, 2, 8L, "the architecture's name has other signs than letters")]
    [InlineData("", 1, 2, 8L, "the architecture's name has 0 letters; it must have from 1 to 64")]
    [InlineData(null, 1, 2, 8L, "the architecture's name has 1000 letters")]
    [InlineData("toy", 1025, 2, 8L, "layers is 1025; it must be from 1 to 1024")]
    [InlineData("toy", 1, 4097, 8L, "experts is 4097; it must be from 1 to 4096")]
    [InlineData("toy", 1, 2, long.MaxValue, "experts of 9223372036854775807 bytes and 8 others")]
    public void A_trace_of_what_no_model_has_is_refused(string? architecture, int layers, int experts, long expertBytes, string message)
    {
        using var folder = new TemporaryDirectory();
        var file = Path.Combine(folder.Path, "trace");
        BinaryFile.Write(file, "MOEBTRC1"u8, 2, writer =>
        {
            writer.Write(architecture ?? new string('a', 1000));
            foreach (var number in new[] { layers, experts, 1, 0, 4 })
                writer.Write(number);
            writer.Write(expertBytes);
            writer.Write(8L);
            writer.Write(0);
        });
        var refused = Assert.Throws<UserInputException>(() => TraceFile.Read(file)).Message;
        Assert.Contains(message, refused, StringComparison.Ordinal);
        Assert.DoesNotContain(refused, char.IsControl);
    }

    /// <summary>The length of a text is a number of up to five bytes.</summary>
    [Theory]
    [InlineData(new byte[] { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff })]
    [InlineData(new byte[] { 0xff, 0xff, 0xff, 0xff, 0x0f })]
    [InlineData(new byte[] { })]
    public void A_trace_that_does_not_begin_with_a_text_is_refused(byte[] body)
    {
        using var folder = new TemporaryDirectory();
        var file = Path.Combine(folder.Path, "trace");
        BinaryFile.Write(file, "MOEBTRC1"u8, 2, writer => writer.Write(body));
        Assert.StartsWith($"{file} is not a routing trace that makes sense", Assert.Throws<UserInputException>(() => TraceFile.Read(file)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_trace_of_another_version_is_refused()
    {
        using var folder = new TemporaryDirectory();
        var file = Path.Combine(folder.Path, "trace");
        BinaryFile.Write(file, "MOEBTRC1"u8, 1, _ => { });
        Assert.Equal(
            $"{file} is a routing trace of version 1; this program reads version 2: make it again with moebius trace",
            Assert.Throws<UserInputException>(() => TraceFile.Read(file)).Message);
    }

    private static RoutingTrace Record(int[] chunks)
    {
        var recorder = new TraceRecorder(2);
        using var model = ModelLoader.Load(TestModels.Golden("qwen3_moe"), new ModelLoadOptions { Threads = 1, Prefetch = recorder });
        using var kv = model.CreateSequence();
        var at = 0;
        foreach (var count in chunks)
        {
            model.Forward([new SequenceChunk(kv, Enumerable.Range(at, count).Select(i => 3 + i * 5 % 200).ToArray(), LogitsFor.None)]);
            at += count;
        }
        return recorder.Finish(model.Info.Architecture, model.Info.VocabularySize, 1000, 1000);
    }
}
