using System.Diagnostics.CodeAnalysis;
using Moebius.Crds;
using Moebius.PromptOptimizer.Models.Clip;
using SkiaSharp;

namespace Moebius.PromptOptimizer.Tests.Clip;

public sealed class ClipPixelsTests : IDisposable
{
    private static readonly SKEncodedImageFormat[] Kinds = [SKEncodedImageFormat.Png, SKEncodedImageFormat.Jpeg, SKEncodedImageFormat.Webp];

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string, int, int, string> Scaled { get; } = new(Reference.Values["scaled"]!.AsArray().Select(one =>
        (one!["config"]!.ToJsonString(), (int)one["width"]!, (int)one["height"]!, (string)one["pixels"]!)));

    public static TheoryData<string, string, int, int, string> Decoded { get; } = new(Reference.Values["decoded"]!.AsArray().Select(one =>
        ((string)one!["name"]!, (string)one["file"]!, (int)one["width"]!, (int)one["height"]!, (string)one["pixels"]!)));

    public static TheoryData<int, string> Orientations { get; } = new(Reference.Values["orientations"]!.AsObject().Select(one => (int.Parse(one.Key, null), (string)one.Value!)));

    public void Dispose() => _folder.Dispose();

    /// <summary>To the bit: the same steps in the same arithmetic and order. The reference checks that its processor does not differ by more than 1.</summary>
    [Theory]
    [MemberData(nameof(Scaled))]
    public void Images_are_scaled_and_cut_as_Pillow_and_CLIPs_processor_do(string config, int width, int height, string expected) =>
        Assert.Equal(Convert.FromBase64String(expected), ClipPixels.Bytes(Reference.Picture(width, height), Load(config)));

    [Fact]
    public void Values_are_those_of_the_reference_for_each_colour()
    {
        var normal = Reference.Values["normal"]!;
        var values = ClipPixels.Read(Reference.Picture((int)normal["width"]!, (int)normal["height"]!), Load(normal["config"]!.ToJsonString()));
        Assert.Equal(3 * 8 * 8, values.Length);
        var expected = normal["values"]!.AsArray().Select(value => (float)value!).ToList();
        Assert.All(values.Where((_, index) => index % 11 == 0).Zip(expected), pair => Assert.Equal(pair.Second, pair.First, 1e-5f));
    }

    /// <summary>Kinds of PNG; of 16 bits the upper eight count, where the reference rounds otherwise by one.</summary>
    [Theory]
    [MemberData(nameof(Decoded))]
    public void Files_of_every_kind_have_the_colours_that_Pillow_sees(string name, string file, int width, int height, string expected)
    {
        using var bitmap = ImageDecoder.Decode(Convert.FromBase64String(file));
        Assert.Equal((name, width, height), (name, bitmap.Width, bitmap.Height));
        var found = bitmap.GetPixelSpan().ToArray().Where((_, index) => index % 4 != 3).ToArray();
        Assert.All(found.Zip(Convert.FromBase64String(expected)), pair => Assert.InRange(pair.First - pair.Second, name == "rgb16" ? -1 : 0, name == "rgb16" ? 1 : 0));
    }

    [Theory]
    [InlineData(SKEncodedImageFormat.Jpeg, 4)]
    [InlineData(SKEncodedImageFormat.Webp, 4)]
    [InlineData(SKEncodedImageFormat.Png, 0)]
    public void JPEG_WebP_and_PNG_are_decoded(SKEncodedImageFormat format, int most)
    {
        using var bitmap = ImageDecoder.Decode(Reference.Encode(24, 16, (_, _) => new SKColor(200, 60, 20), format));
        Assert.Equal((24, 16), (bitmap.Width, bitmap.Height));
        var pixel = bitmap.GetPixel(12, 8);
        Assert.All(new[] { pixel.Red - 200, pixel.Green - 60, pixel.Blue - 20 }, difference => Assert.InRange(difference, -most, most));
    }

    /// <summary>An image lies as its EXIF data says; what is seen where is Pillow's answer.</summary>
    [Theory]
    [MemberData(nameof(Orientations))]
    public void An_image_is_turned_as_it_is_meant_to_be_seen(int orientation, string expected)
    {
        var plain = Reference.Encode(16, 8, (x, y) => (x < 8, y < 4) switch
        {
            (true, true) => SKColors.Red,
            (false, true) => SKColors.Lime,
            (true, false) => SKColors.Blue,
            _ => SKColors.White,
        }, SKEncodedImageFormat.Jpeg);
        byte[] exif =
        [
            0xff, 0xe1, 0, 34, .. "Exif\0\0"u8, .. "MM\0*"u8, 0, 0, 0, 8, // big-endian, the directory behind the header
            0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, (byte)orientation, 0, 0, 0, 0, 0, 0, // one entry: orientation, a short
        ];
        using var bitmap = ImageDecoder.Decode([.. plain[..2], .. exif, .. plain[2..]]);
        var corners = new[] { (1, 1), (bitmap.Width - 2, 1), (1, bitmap.Height - 2), (bitmap.Width - 2, bitmap.Height - 2) }.Select(at => Name(bitmap.GetPixel(at.Item1, at.Item2)));
        Assert.Equal(expected, $"{bitmap.Width}x{bitmap.Height} {string.Concat(corners)}");

        static char Name(SKColor color) => (color.Red > 128, color.Green > 128, color.Blue > 128) switch
        {
            (true, false, false) => 'R',
            (false, true, false) => 'G',
            (false, false, true) => 'B',
            (true, true, true) => 'W',
            _ => '?',
        };
    }

    /// <summary>A header of a few bytes stands for gigabytes of pixels: nothing of them is decoded.</summary>
    [Theory]
    [InlineData(60000, 60000)]
    [InlineData(20000, 1)]
    [InlineData(8192, 4097)]
    public void An_image_of_too_many_pixels_is_refused_before_it_is_decoded(int width, int height)
    {
        var file = Reference.Picture(1, 1);
        WriteSize(file, width, height);
        Assert.StartsWith($"the image has {width}x{height} pixels: at most 32 Mi, 16384 a side, are looked at", Unreadable(file), StringComparison.Ordinal);
    }

    [Fact]
    public void A_JPEG_of_too_many_scans_is_refused_before_it_is_decoded()
    {
        var plain = Reference.Encode(8, 8, (_, _) => SKColors.Red, SKEncodedImageFormat.Jpeg);
        byte[] scans = [.. Enumerable.Repeat<byte[]>([0xff, 0xda], 101).SelectMany(marker => marker)];
        Assert.Equal("the image has 102 scans: at most 100 are looked at", Unreadable([.. plain[..^2], .. scans, .. plain[^2..]]));
    }

    [Theory]
    [InlineData(SKEncodedImageFormat.Jpeg)]
    [InlineData(SKEncodedImageFormat.Webp)]
    [InlineData(SKEncodedImageFormat.Png)]
    public void A_file_that_is_cut_off_is_refused(SKEncodedImageFormat format)
    {
        var file = Reference.Encode(64, 64, (x, y) => new SKColor((byte)(x * y), (byte)(x * 4), (byte)(y * 3)), format);
        Assert.Equal("the image is cut off or broken", Unreadable(file[..(file.Length / 2)]));
        Assert.Matches("cut off or broken|cannot be decoded", Unreadable(file[..30]));
    }

    /// <summary>Any damage ends in an image or in a refusal.</summary>
    [Property(MaxTest = 200)]
    public void Damage_is_refused_or_seen_and_breaks_nothing(AnyInt at, byte value, byte format)
    {
        var file = Reference.Encode(16, 16, (x, y) => new SKColor((byte)(x * 16), (byte)(y * 16), (byte)(x * y)), Kinds[format % Kinds.Length]);
        file[(int)((uint)at.Item % file.Length)] = value;
        try
        {
            Assert.Equal(3 * 4 * 4, ClipPixels.Read(file, Load(TinyClip.Preprocessing)).Length);
        }
        catch (UnreadableImageException)
        {
            // That is the other good end.
        }
    }

    [Theory]
    [InlineData("GIF89a\u0001\0\u0001\0\0\0\0;")]
    [InlineData("no image")]
    [InlineData("")]
    public void What_is_no_image_is_refused(string text) => Assert.Matches("neither PNG, JPEG nor WebP|cannot be decoded", Unreadable([.. text.Select(character => (byte)character)]));

    [Theory]
    [InlineData("size: is {\"longest_edge\":4}: a number, {\"shortest_edge\": N} and {\"height\": N, \"width\": N} are supported", """ "size": {"longest_edge": 4} """)]
    [InlineData("size: is {\"shortest_edge\":4,\"longest_edge\":8}", """ "size": {"shortest_edge": 4, "longest_edge": 8} """)]
    [InlineData("size: is 0: must be 1 to 2048", """ "size": 0 """)]
    [InlineData("size: is 2049: must be 1 to 2048", """ "size": {"shortest_edge": 2049} """)]
    [InlineData("crop_size: is 5: must not be larger than size, 4", """ "crop_size": 5 """)]
    [InlineData("crop_size: is {\"height\":4}: a number and {\"height\": N, \"width\": N} are supported", """ "crop_size": {"height": 4} """)]
    [InlineData("resample: is 1: 2 (bilinear) and 3 (bicubic) are supported", """ "resample": 1 """)]
    [InlineData("do_resize: is false: images come in other sizes than the model's: true alone is supported", """ "do_resize": false """)]
    [InlineData("do_center_crop: is false: with a size of the shorter side alone, true alone is supported", """ "do_center_crop": false """)]
    [InlineData("do_convert_rgb: is false", """ "do_convert_rgb": false """)]
    [InlineData("do_pad: is true: this step is not done here: false alone is supported", """ "do_pad": true """)]
    [InlineData("rescale_factor: is 0: must be above 0", """ "rescale_factor": 0 """)]
    [InlineData("image_mean: is [0.5]: must be three numbers", """ "image_mean": [0.5] """)]
    [InlineData("image_std: is [1,0,1]: must be three numbers, those of image_std above 0", """ "image_std": [1, 0, 1] """)]
    [InlineData("image_processor_type: is \"SiglipImageProcessor\": CLIP's image processor is meant: this is another model's", """ "image_processor_type": "SiglipImageProcessor" """)]
    public void A_step_that_is_not_done_here_is_refused_by_name(string message, string field) => Assert.Contains($"preprocessor_config.json': {message}", Refusal(field), StringComparison.Ordinal);

    [Theory]
    [InlineData(""" "size": {} """)]
    [InlineData(""" "size": "4" """)]
    [InlineData(""" "crop_size": 3.5 """)]
    [InlineData(""" "do_rescale": 1 """)]
    [InlineData(""" "image_mean": 1 """)]
    public void A_field_of_another_kind_is_refused(string field) => Assert.Contains("preprocessor_config.json'", Refusal(field), StringComparison.Ordinal);

    [Fact]
    public void Steps_that_are_switched_off_are_not_done()
    {
        var file = Reference.Encode(4, 4, (_, _) => new SKColor(100, 200, 50), SKEncodedImageFormat.Png);
        Assert.Equal(100, ClipPixels.Read(file, Load("""{"size": 4, "crop_size": 4, "do_rescale": false, "do_normalize": false}"""))[0]);
        Assert.Equal(100 / 255f, ClipPixels.Read(file, Load("""{"size": 4, "crop_size": 4, "do_normalize": false, "do_pad": null}"""))[0], 1e-6f);
        Assert.Equal(25, ClipPixels.Read(file, Load("""{"size": 4, "crop_size": 4, "rescale_factor": 0.5, "image_mean": [0, 0, 0], "image_std": [2, 2, 2]}"""))[0]);
    }

    [Fact]
    public void The_newer_file_of_the_whole_processor_is_read_too()
    {
        Assert.Contains("preprocessor_config.json' does not exist", Assert.Throws<UserInputException>(() => ClipPreprocessing.Load(_folder.Path)).Message, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(_folder.Path, "processor_config.json"), $$"""{"processor_class": "CLIPProcessor", "image_processor": {{TinyClip.Preprocessing}}}""");
        Assert.Equal((4, 4), (ClipPreprocessing.Load(_folder.Path).Width, ClipPreprocessing.Load(_folder.Path).Height));
    }

    private static string Unreadable(byte[] file) => Assert.Throws<UnreadableImageException>(() => ImageDecoder.Decode(file)).Message;

    private string Refusal([StringSyntax(StringSyntaxAttribute.Json)] string field)
    {
        var fields = new Dictionary<string, string> { ["size"] = "4", ["crop_size"] = "4", ["image_mean"] = "[0, 0, 0]", ["image_std"] = "[1, 1, 1]" };
        fields[field.Split('"')[1]] = field[(field.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
        return Assert.Throws<UserInputException>(() => Load($"{{{string.Join(',', fields.Select(one => $"\"{one.Key}\": {one.Value}"))}}}")).Message;
    }

    private ClipPreprocessing Load(string json)
    {
        var parsed = System.Text.Json.Nodes.JsonNode.Parse(json)!.AsObject();
        // Fields that the reference has by itself.
        parsed.TryAdd("image_mean", new System.Text.Json.Nodes.JsonArray(0, 0, 0));
        parsed.TryAdd("image_std", new System.Text.Json.Nodes.JsonArray(1, 1, 1));
        File.WriteAllText(Path.Combine(_folder.Path, "preprocessor_config.json"), parsed.ToJsonString());
        return ClipPreprocessing.Load(_folder.Path);
    }

    /// <summary>Says another size in the header of a PNG, with its checksum.</summary>
    private static void WriteSize(byte[] png, int width, int height)
    {
        System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(png.AsSpan(16), width);
        System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(png.AsSpan(20), height);
        var sum = ~0u;
        foreach (var value in png.AsSpan(12, 17))
        {
            sum ^= value;
            for (var bit = 0; bit < 8; bit++)
                sum = (sum & 1) != 0 ? (sum >> 1) ^ 0xEDB88320 : sum >> 1;
        }

        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(png.AsSpan(29), ~sum);
    }
}
