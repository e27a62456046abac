using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Experts;
using Moebius.Inference.Models;
using Moebius.Inference.Storage;

namespace Moebius.Inference.Tests.Experts;

public class ExpertPackTests
{
    [Fact]
    public void The_same_model_gives_the_same_bytes_and_serving_from_them_the_same_logits()
    {
        using var model = TestModels.Copy(TestModels.Golden("gpt_oss"));
        var expected = Logits(model.Path, null, out var tier);
        Assert.StartsWith("safetensors, read with ", tier, StringComparison.Ordinal);
        var packed = Pack(model.Path);
        var first = File.ReadAllBytes(packed.Path);
        Assert.Equal(first.Length, packed.Bytes);
        Assert.Equal(first, File.ReadAllBytes(Pack(model.Path).Path));
        Assert.Equal(expected, Logits(model.Path, null, out tier));
        Assert.StartsWith($"pack {packed.Path}, read with ", tier, StringComparison.Ordinal);
        Assert.Equal([packed.Path], Directory.GetFiles(model.Path, "*moebius*"));
    }

    [Fact]
    public void A_pack_of_other_weights_or_another_model_is_refused_by_name()
    {
        using var model = TestModels.Copy(TestModels.Golden("qwen3_moe"));
        var pack = Pack(model.Path).Path;
        using (var other = TestModels.Copy(TestModels.Golden("mixtral")))
        {
            var stranger = Path.Combine(other.Path, Path.GetFileName(pack));
            File.Copy(pack, stranger);
            Assert.StartsWith($"{stranger}: holds experts as f32 hidden", Refused(other.Path), StringComparison.Ordinal);
        }
        var weights = File.ReadAllBytes(model.File_("model.safetensors"));
        weights[^1] ^= 1;
        File.WriteAllBytes(model.File_("model.safetensors"), weights);
        Assert.Equal($"{pack}: was made from other weights than those in the model's directory; make it anew with 'moebius pack', or delete it to read the safetensors", Refused(model.Path));
    }

    /// <summary>A name that was mistyped may be that of anything.</summary>
    [Fact]
    public void Nobody_is_told_to_delete_a_file_that_is_no_pack()
    {
        using var directory = new TemporaryDirectory();
        foreach (var (name, says) in new[] { ("README.md", "; name a file that 'moebius pack' wrote, or name none to read the safetensors"), ("experts-f32.moebius", "; make it anew with 'moebius pack', or delete it to read the safetensors") })
        {
            var path = Path.Combine(directory.Path, name);
            foreach (var text in new[] { "short", "# A file that is longer than the head of a pack" })
            {
                File.WriteAllText(path, text);
                using var file = StoredFile.Open(path, SlowTier.DirectIO);
                Assert.EndsWith(says, Assert.Throws<UserInputException>(() => ExpertPack.Read(file)).Message, StringComparison.Ordinal);
            }
        }
    }

    [Theory]
    [InlineData(ExpertQuantization.None, ExpertQuantization.Int8, ": leave out --quantize, or make a pack with 'moebius pack --quantize int8'")]
    [InlineData(ExpertQuantization.Int4, ExpertQuantization.Int8, ": give --quantize int4, or make a pack with 'moebius pack --quantize int8'")]
    [InlineData(ExpertQuantization.Int8, ExpertQuantization.None, ": give --quantize int8, or make a pack with 'moebius pack' without --quantize")]
    public void A_pack_in_another_format_is_refused_with_the_flag_that_would_do(ExpertQuantization packed, ExpertQuantization loaded, string says)
    {
        using var directory = new TemporaryDirectory();
        var model = TestModels.Golden("qwen3_moe");
        var pack = ModelPacker.Pack(model, directory.Path, packed, null, default).Path;
        var message = Assert.Throws<UserInputException>(() => ModelLoader.Load(model, new ModelLoadOptions { Threads = 1, Pack = pack, Quantization = loaded }).Dispose()).Message;
        Assert.StartsWith($"{pack}: holds experts as ", message, StringComparison.Ordinal);
        Assert.EndsWith(says, message, StringComparison.Ordinal);
    }

    /// <summary>Of the same weights and the same size: only the order of an expert's parts is other.</summary>
    [Fact]
    public void A_pack_that_orders_the_parts_of_an_expert_otherwise_is_refused_by_name()
    {
        using var model = TestModels.Copy(TestModels.Golden("qwen3_moe"));
        var path = Pack(model.Path).Path;
        ExpertPack pack;
        using (var file = StoredFile.Open(path, SlowTier.DirectIO))
            pack = ExpertPack.Read(file);
        var other = string.Concat(pack.Description.Layout.Reverse());
        var head = (pack with { Description = pack.Description with { Layout = other } }).Head();
        using (var file = File.OpenWrite(path))
            file.Write(head);
        Assert.StartsWith($"{path}: holds experts as {other}; the model is loaded as {pack.Description.Layout}", Refused(model.Path), StringComparison.Ordinal);
    }

    /// <summary>A byte changed anywhere, or a file cut anywhere, is noticed: at load in the head, at the latest when an expert is read.</summary>
    [Fact]
    public void A_corrupt_pack_is_refused_by_name_wherever_it_is_corrupt()
    {
        using var model = TestModels.Copy(TestModels.Golden("mixtral"));
        var pack = Pack(model.Path).Path;
        var whole = File.ReadAllBytes(pack);
        var random = new Random(3);
        int[] heads = [0, 8, 9, 12, 15, 16, 24, 60, 400];
        foreach (var at in heads.Concat(Enumerable.Range(0, 12).Select(_ => random.Next(4096, whole.Length))))
        {
            byte[] bytes = [.. whole];
            bytes[at] ^= 0x10;
            File.WriteAllBytes(pack, bytes);
            // Bytes behind the checksums fill the head up to the first expert and mean nothing.
            if (at >= 24 && at < 4096 && whole[at] == 0)
                continue;
            var error = Assert.ThrowsAny<Exception>(() => TestModels.Load(model.Path).Dispose());
            Assert.True(error is UserInputException or IOException, error.ToString());
            Assert.StartsWith(pack, error.Message, StringComparison.Ordinal);
            Assert.Contains("moebius pack", error.Message, StringComparison.Ordinal);
        }
        foreach (var length in new[] { 0, 5, 23, 24, 200, 4096, whole.Length - 4096, whole.Length - 1 })
        {
            File.WriteAllBytes(pack, whole[..length]);
            Assert.StartsWith(pack, Refused(model.Path), StringComparison.Ordinal);
        }
        File.WriteAllBytes(pack, [.. whole, 0]);
        Assert.Contains($"has {whole.Length + 1} bytes instead of {whole.Length}", Refused(model.Path), StringComparison.Ordinal);
    }

    [Fact]
    public void An_expert_that_is_corrupt_on_demand_fails_its_step_and_the_model_lives_on()
    {
        using var model = TestModels.Copy(TestModels.Golden("qwen3_moe"));
        var pack = Pack(model.Path).Path;
        using var loaded = TestModels.Load(model.Path, TestModels.SmallestBudget(model.Path));
        var bytes = File.ReadAllBytes(pack);
        byte[] good = [.. bytes];
        Array.Fill(bytes, (byte)7, 4096, bytes.Length - 4096);
        Overwrite(pack, bytes);
        using var kv = loaded.CreateSequence();
        var error = Assert.Throws<IOException>(() => loaded.Forward([new SequenceChunk(kv, new[] { 5, 6 }, LogitsFor.Last)]));
        Assert.Contains("is corrupt: its checksum is wrong", error.Message, StringComparison.Ordinal);
        Overwrite(pack, good);
        // A read that had begun before the repair may still fail who comes to need it; there are only so many of them.
        float[] logits = [];
        for (var attempt = 0; logits.Length == 0; attempt++)
        {
            try
            {
                logits = loaded.Forward([new SequenceChunk(kv, new[] { 5, 6 }, LogitsFor.Last)])[0];
            }
            catch (IOException) when (attempt < 8)
            {
            }
        }

        static void Overwrite(string path, byte[] bytes)
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
            stream.Write(bytes);
        }
    }

    [Fact]
    public void Weights_that_are_no_numbers_are_not_packed_and_nothing_is_left()
    {
        using var model = TestModels.Copy(TestModels.Golden("mixtral"));
        var weights = File.ReadAllBytes(model.File_("model.safetensors"));
        for (var i = 0; i < 8; i++)
            weights[weights.Length / 2 + i] = 0xFF;
        File.WriteAllBytes(model.File_("model.safetensors"), weights);
        Assert.Contains("NaN or infinite", Assert.Throws<UserInputException>(() => Pack(model.Path)).Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(model.Path, "*moebius*"));
    }

    [Fact]
    public void Interrupted_it_leaves_nothing_and_an_older_pack_stays()
    {
        using var model = TestModels.Copy(TestModels.Golden("mixtral"));
        var pack = Pack(model.Path).Path;
        var before = File.ReadAllBytes(pack);
        using var stop = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => ModelPacker.Pack(model.Path, null, ExpertQuantization.None, (done, _) =>
        {
            if (done == 3)
                stop.Cancel();
        }, stop.Token));
        Assert.Equal([pack], Directory.GetFiles(model.Path, "*moebius*"));
        Assert.Equal(before, File.ReadAllBytes(pack));
        // What a killed writer leaves is another file, which no model is served from and the next writer takes over.
        File.WriteAllBytes(pack + ".part", new byte[100_000_0]);
        Assert.StartsWith($"pack {pack}", Tier(model.Path), StringComparison.Ordinal);
        Pack(model.Path);
        Assert.Equal([pack], Directory.GetFiles(model.Path, "*moebius*"));
        Assert.Equal(before, File.ReadAllBytes(pack));
    }

    [Fact]
    public void Two_writers_do_not_mix()
    {
        using var model = TestModels.Copy(TestModels.Golden("mixtral"));
        var refused = new List<string>();
        ModelPacker.Pack(model.Path, null, ExpertQuantization.None, (done, _) =>
        {
            if (done == 2)
                refused.Add(Assert.Throws<UserInputException>(() => Pack(model.Path)).Message);
        }, CancellationToken.None);
        Assert.Contains("being used by another process", Assert.Single(refused), StringComparison.Ordinal);
        Assert.StartsWith("pack ", Tier(model.Path), StringComparison.Ordinal);
    }

    [Fact]
    public void Where_there_is_no_room_or_no_directory_it_says_so_and_leaves_nothing()
    {
        var model = TestModels.Golden("mixtral");
        Assert.Equal("--out: '/nowhere' does not exist: make the directory first", Assert.Throws<UserInputException>(() => ModelPacker.Pack(model, "/nowhere", ExpertQuantization.None, null, default)).Message);
        var file = Path.Combine(model, "config.json");
        Assert.Equal($"--out: '{file}' is not a directory", Assert.Throws<UserInputException>(() => ModelPacker.Pack(model, file, ExpertQuantization.None, null, default)).Message);
        using var directory = new TemporaryDirectory();
        using var disk = SmallDisk.TryMount(directory.Path, 64 << 10);
        Assert.SkipWhen(disk is null, "a small file system cannot be mounted here; it needs root");
        var message = Assert.Throws<UserInputException>(() => ModelPacker.Pack(model, directory.Path, ExpertQuantization.None, null, default)).Message;
        Assert.StartsWith($"{directory.Path}/experts-f32.moebius: cannot be written: it needs ", message, StringComparison.Ordinal);
        Assert.Contains(" left", message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(directory.Path));
    }

    private static PackResult Pack(string directory) => ModelPacker.Pack(directory, null, ExpertQuantization.None, null, CancellationToken.None);

    private static string Refused(string directory) => Assert.Throws<UserInputException>(() => TestModels.Load(directory).Dispose()).Message;

    private static string Tier(string directory)
    {
        using var model = TestModels.Load(directory);
        return model.Info.ExpertTier;
    }

    private static float[] Logits(string directory, long? budget, out string tier)
    {
        using var model = TestModels.Load(directory, budget);
        tier = model.Info.ExpertTier;
        using var kv = model.CreateSequence();
        return model.Forward([new SequenceChunk(kv, Enumerable.Range(3, 20).ToArray(), LogitsFor.All)])[0];
    }
}
