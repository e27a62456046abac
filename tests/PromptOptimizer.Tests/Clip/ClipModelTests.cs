using Moebius.Crds;
using Moebius.PromptOptimizer.Models;
using Moebius.PromptOptimizer.Models.Clip;
using SkiaSharp;

namespace Moebius.PromptOptimizer.Tests.Clip;

public sealed class ClipModelTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>Tokens, image and model together, against Hugging Face's CLIPModel with the same random weights.</summary>
    [Fact]
    public async Task Similarities_are_those_of_the_reference()
    {
        TinyClip.WriteReference(_folder.Path);
        using var model = ClipModel.Load(_folder.Path);
        foreach (var pair in Reference.Values["similarities"]!.AsArray())
        {
            var text = (string)pair!["text"]!;
            var image = Reference.Picture((int)pair["width"]!, (int)pair["height"]!);
            var (cosine, cut) = await model.CompareAsync(text, image, CancellationToken.None);
            Assert.Equal((double)pair["cosine"]!, cosine, 1e-5);
            Assert.Equal(text.Length > 100, cut);
            Assert.Equal((cosine, cut), await model.CompareAsync(text, image, CancellationToken.None));
        }
    }

    [Theory]
    [InlineData(null)]
    [InlineData(77)]
    [InlineData(9)]
    public async Task A_text_is_filled_up_where_the_model_has_a_length(int? length)
    {
        TinyClip.Write(_folder.Path, new(Length: length, Side: 4));
        using var model = ClipModel.Load(_folder.Path);
        Assert.Equal(length ?? 77, model.MostTokens);
        Assert.Equal(1, (await model.CompareAsync("a red ball", Image(SKColors.Red), CancellationToken.None)).Cosine, 1e-3);
        Assert.Equal(0, (await model.CompareAsync("a red ball", Image(SKColors.Blue), CancellationToken.None)).Cosine, 1e-3);
        Assert.Equal(Math.Sqrt(0.5), (await model.CompareAsync("red and blue", Image(SKColors.Blue), CancellationToken.None)).Cosine, 1e-3);
    }

    [Fact]
    public async Task A_model_in_the_folder_onnx_is_found_and_other_calls_wait()
    {
        TinyClip.Write(_folder.Path);
        Directory.CreateDirectory(Path.Combine(_folder.Path, "onnx"));
        File.Move(Path.Combine(_folder.Path, "model.onnx"), Path.Combine(_folder.Path, "onnx", "model.onnx"));
        File.Delete(Path.Combine(_folder.Path, "config.json"));
        using var model = ClipModel.Load(_folder.Path);
        var all = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => model.CompareAsync("red", Image(SKColors.Red), CancellationToken.None)));
        Assert.Single(all.Distinct());
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => model.CompareAsync("red", Image(SKColors.Red), cancelled.Token));
    }

    [Fact]
    public void What_is_no_CLIP_is_refused_by_what_it_is()
    {
        var folder = Path.Combine(_folder.Path, "clip");
        Assert.Contains("clip' does not exist: mount a folder", Refusal(folder), StringComparison.Ordinal);
        TinyClip.Write(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), """{"model_type": "siglip"}""");
        Assert.Contains("config.json': model_type: is \"siglip\": a CLIP model is needed", Refusal(folder), StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(folder, "config.json"), "{}");
        Assert.Contains("config.json': model_type: is missing", Refusal(folder), StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(folder, "config.json"), "[");
        Assert.Contains("config.json' is not a model's configuration", Refusal(folder), StringComparison.Ordinal);
        TinyClip.Write(folder);
        File.WriteAllText(Path.Combine(folder, "model.onnx"), "no model");
        Assert.Contains("model.onnx' cannot be loaded", Refusal(folder), StringComparison.Ordinal);
        File.Delete(Path.Combine(folder, "model.onnx"));
        Assert.Contains("model.onnx' does not exist, nor does onnx/model.onnx", Refusal(folder), StringComparison.Ordinal);
        Refused(new(Ids: "tokens"), "input 'tokens': a CLIP model takes input_ids, attention_mask and pixel_values only; it has the inputs tokens, attention_mask, pixel_values and the outputs text_embeds, image_embeds");
        Refused(new(More: "position_ids"), "input 'position_ids'");
        Refused(new(Mask: false), "no input 'attention_mask': it has the inputs input_ids, pixel_values");
        Refused(new(ShortIds: true), "input 'input_ids' is of Int32 with 2 dimensions, must be of Int64 with 2");
        Refused(new(Halves: true), "output 'text_embeds' is of Float16, must be of Single: export it in full precision");
        Refused(new(TextOutput: "logits_per_text"), "no output 'text_embeds': it has");
        Refused(new(Side: 8), "pixel_values has the shape [-1, 3, 8, 8], but preprocessor_config.json makes 3x4x4: take both from one export");
    }

    [Fact]
    public void Files_that_do_not_go_together_are_refused_at_start()
    {
        var vocabulary = Reference.Vocabulary(TinyClip.Merges).Count;
        Refused(new(Tokens: vocabulary - 1), $"does not run with the tokenizer ({vocabulary} tokens, texts of 77) and the image processor (4x4 pixels) beside it: take all files from one export");
        Refused(new(Empty: true), "the model's embeddings are zero or no numbers");
        TinyClip.WriteReference(_folder.Path);
        var preprocessing = Path.Combine(_folder.Path, "preprocessor_config.json");
        File.WriteAllText(preprocessing, File.ReadAllText(preprocessing).Replace("8", "12", StringComparison.Ordinal));
        Assert.Contains("pixel_values has the shape [-1, 3, 8, 8], but preprocessor_config.json makes 3x12x12", Refusal(_folder.Path), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-0.2, 0)]
    [InlineData(0, 0)]
    [InlineData(0.301, 75)]
    [InlineData(0.302, 76)]
    [InlineData(0.4, 100)]
    [InlineData(0.9, 100)]
    public void The_figure_is_CLIPScore_in_percent(double cosine, int percent) => Assert.Equal(percent, ClipScorer.Percent(cosine));

    [Fact]
    public async Task An_image_that_cannot_be_looked_at_is_the_endpoints_fault()
    {
        TinyClip.Write(_folder.Path);
        var scorer = new ClipScorer(ClipModel.Load(_folder.Path));
        var error = await Assert.ThrowsAsync<ModelRejectedException>(() => scorer.ScoreAsync("red", null!, false, new([1, 2, 3], "image/png"), CancellationToken.None));
        Assert.Equal("imageModel.endpoint: the image cannot be decoded", error.Summary);
    }

    private static byte[] Image(SKColor color) => Reference.Encode(8, 6, (_, _) => color, SKEncodedImageFormat.Png);

    private void Refused(TinyClip.Shape shape, string message)
    {
        var folder = Path.Combine(_folder.Path, "clip");
        TinyClip.Write(folder, shape);
        Assert.Contains($"model.onnx'{(message.StartsWith("does", StringComparison.Ordinal) ? " " : "")}", Refusal(folder), StringComparison.Ordinal);
        Assert.Contains(message, Refusal(folder), StringComparison.Ordinal);
    }

    private static string Refusal(string folder) => Assert.Throws<UserInputException>(() => ClipModel.Load(folder)).Message;
}
