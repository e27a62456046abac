using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using Moebius.Crds;
using Moebius.PromptOptimizer.Agents;

namespace Moebius.PromptOptimizer.Models.Clip;

/// <summary>
/// A CLIP model in ONNX form as Hugging Face's tools export it: <c>model.onnx</c>, in the folder itself or in its folder
/// <c>onnx</c>, with the inputs input_ids, attention_mask and pixel_values and the outputs text_embeds and image_embeds. One
/// run at a time.
/// </summary>
internal sealed class ClipModel : IDisposable
{
    /// <summary>Tokens that CLIP reads, with the two that frame them.</summary>
    private const int Context = 77;

    /// <summary>Threads of a run: the service's own wait for endpoints most of the time. Ours.</summary>
    private const int Threads = 2;

    private const string Ids = "input_ids", Mask = "attention_mask", Pixels = "pixel_values", TextEmbeds = "text_embeds", ImageEmbeds = "image_embeds";

    private readonly ClipTokenizer _tokenizer;
    private readonly ClipPreprocessing _preprocessing;
    private readonly InferenceSession _session;
    private readonly int? _fixedLength;
    private readonly SemaphoreSlim _turn = new(1);

    private ClipModel(ClipTokenizer tokenizer, ClipPreprocessing preprocessing, InferenceSession session)
    {
        (_tokenizer, _preprocessing, _session) = (tokenizer, preprocessing, session);
        _fixedLength = session.InputMetadata[Ids].Dimensions[1] is > 0 and var length ? length : null;
    }

    /// <summary>Most tokens of a text, with the two that frame them.</summary>
    public int MostTokens => Math.Min(Context, _fixedLength ?? Context);

    /// <summary>Loads a folder, and runs the model once on the longest text with the last token.</summary>
    /// <exception cref="UserInputException">A file is missing, is not what it should be or does not go with the others; the message names it.</exception>
    public static ClipModel Load(string folder)
    {
        if (!Directory.Exists(folder))
            throw new UserInputException($"'{folder}' does not exist: mount a folder with a CLIP model in ONNX form there");
        CheckType(Path.Combine(folder, "config.json"));
        var file = new[] { Path.Combine(folder, "model.onnx"), Path.Combine(folder, "onnx", "model.onnx") } is var places && places.FirstOrDefault(File.Exists) is { } found
            ? found
            : throw new UserInputException($"'{places[0]}' does not exist, nor does onnx/model.onnx: export the whole CLIP model, text and image in one file");
        var tokenizer = ClipTokenizerFiles.Read(folder);
        var preprocessing = ClipPreprocessing.Load(folder);
        InferenceSession? session = null;
        try
        {
            using var options = new SessionOptions { IntraOpNumThreads = Threads, InterOpNumThreads = 1, LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL };
            // Waiting threads sleep: the processors are others' between two runs.
            options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0");
            session = new InferenceSession(file, options);
            CheckShape(session, file, preprocessing);
            var model = new ClipModel(tokenizer, preprocessing, session);
            model.Try(file);
            return model;
        }
        catch (OnnxRuntimeException error)
        {
            session?.Dispose();
            throw new UserInputException($"'{file}' cannot be loaded: {error.Message.Split('\n')[0]}", error);
        }
        catch (UserInputException)
        {
            session?.Dispose();
            throw;
        }
    }

    /// <summary>Cosine of the angle between what the model makes of a text and of an image, -1 to 1, and whether the text was too long for it.</summary>
    /// <exception cref="UnreadableImageException">The image cannot be looked at.</exception>
    /// <exception cref="ModelRejectedException">The model cannot be run, or gives no numbers.</exception>
    public async Task<(double Cosine, bool Cut)> CompareAsync(string text, byte[] image, CancellationToken cancel)
    {
        await _turn.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            return await Task.Run(() => Compare(text, image, cancel), cancel).ConfigureAwait(false);
        }
        finally
        {
            _turn.Release();
        }
    }

    public void Dispose()
    {
        _session.Dispose();
        _turn.Dispose();
    }

    /// <summary>Other models, such as SigLIP, have the same inputs and outputs; their similarities mean something else.</summary>
    private static void CheckType(string path)
    {
        if (!File.Exists(path))
            return;
        var type = ClipFiles.Json(path, "a model's configuration", root => root.TryGetProperty("model_type", out var value) ? ClipFiles.Shown(value) : "missing");
        if (type != "\"clip\"")
            throw new UserInputException($"'{path}': model_type: is {type}: a CLIP model is needed, whose type is \"clip\"");
    }

    private static void CheckShape(InferenceSession session, string file, ClipPreprocessing preprocessing)
    {
        var (inputs, outputs) = (session.InputMetadata, session.OutputMetadata);
        var has = $"it has the inputs {string.Join(", ", inputs.Keys)} and the outputs {string.Join(", ", outputs.Keys)}";
        if (inputs.Keys.FirstOrDefault(name => name is not (Ids or Mask or Pixels)) is { } other)
            throw new UserInputException($"'{file}': input '{other}': a CLIP model takes {Ids}, {Mask} and {Pixels} only; {has}");
        foreach (var (name, type, rank) in new[] { (Ids, typeof(long), 2), (Mask, typeof(long), 2), (Pixels, typeof(float), 4) })
        {
            if (!inputs.TryGetValue(name, out var input))
                throw new UserInputException($"'{file}': no input '{name}': {has}");
            if (input.ElementType != type || input.Dimensions.Length != rank)
                throw new UserInputException($"'{file}': input '{name}' is of {input.ElementType.Name} with {input.Dimensions.Length} dimensions, must be of {type.Name} with {rank}: export it in full precision");
        }

        foreach (var name in new[] { TextEmbeds, ImageEmbeds })
        {
            if (!outputs.TryGetValue(name, out var output))
                throw new UserInputException($"'{file}': no output '{name}': {has}");
            if (output.ElementType != typeof(float))
                throw new UserInputException($"'{file}': output '{name}' is of {output.ElementType.Name}, must be of Single: export it in full precision");
        }

        var shape = inputs[Pixels].Dimensions;
        if ((shape[1] > 0 && shape[1] != 3) || (shape[2] > 0 && shape[2] != preprocessing.Height) || (shape[3] > 0 && shape[3] != preprocessing.Width))
            throw new UserInputException($"'{file}': {Pixels} has the shape [{string.Join(", ", shape)}], but preprocessor_config.json makes 3x{preprocessing.Height}x{preprocessing.Width}: take both from one export");
    }

    /// <summary>What ids or sizes a model takes stands nowhere in its inputs: a run says whether its files go together.</summary>
    private void Try(string file)
    {
        int[] ids = [_tokenizer.Start, .. Enumerable.Repeat(_tokenizer.Largest, MostTokens - 2), _tokenizer.End];
        try
        {
            Run(ids, new float[3 * _preprocessing.Height * _preprocessing.Width], CancellationToken.None);
        }
        catch (ModelRejectedException error)
        {
            throw new UserInputException($"'{file}' does not run with the tokenizer ({_tokenizer.Largest + 1} tokens, texts of {MostTokens}) and the image processor ({_preprocessing.Width}x{_preprocessing.Height} pixels) beside it: take all files from one export ({error.Message})", error);
        }
    }

    private (double Cosine, bool Cut) Compare(string text, byte[] image, CancellationToken cancel)
    {
        var pixels = ClipPixels.Read(image, _preprocessing);
        cancel.ThrowIfCancellationRequested();
        var tokens = _tokenizer.Encode(text, MostTokens);
        return (Run(tokens.Ids, pixels, cancel), tokens.Cut);
    }

    private double Run(IReadOnlyList<int> tokens, float[] pixels, CancellationToken cancel)
    {
        // Filled up where the model has a fixed length.
        var length = _fixedLength ?? tokens.Count;
        var (ids, mask) = (new DenseTensor<long>([1, length]), new DenseTensor<long>([1, length]));
        for (var index = 0; index < length; index++)
            (ids[0, index], mask[0, index]) = index < tokens.Count ? (tokens[index], 1) : (_tokenizer.End, 0);
        NamedOnnxValue[] inputs =
        [
            NamedOnnxValue.CreateFromTensor(Ids, ids),
            NamedOnnxValue.CreateFromTensor(Mask, mask),
            NamedOnnxValue.CreateFromTensor(Pixels, new DenseTensor<float>(pixels, [1, 3, _preprocessing.Height, _preprocessing.Width])),
        ];
        using var options = new RunOptions();
        using var registration = cancel.Register(() => options.Terminate = true);
        try
        {
            using var results = _session.Run(inputs, [TextEmbeds, ImageEmbeds], options);
            return Cosine([.. results[0].AsEnumerable<float>()], [.. results[1].AsEnumerable<float>()]);
        }
        catch (OnnxRuntimeException error)
        {
            cancel.ThrowIfCancellationRequested();
            throw new ModelRejectedException("scorer.clip: the model cannot be run", $": {PromptDraft.OneLine(error.Message.Split('\n')[0])}", null, error);
        }
    }

    private static double Cosine(float[] left, float[] right)
    {
        if (left.Length != right.Length)
            throw new ModelRejectedException($"scorer.clip: {TextEmbeds} has {left.Length} values and {ImageEmbeds} {right.Length}", "", null);
        double product = 0, leftSquare = 0, rightSquare = 0;
        for (var index = 0; index < left.Length; index++)
        {
            product += (double)left[index] * right[index];
            leftSquare += (double)left[index] * left[index];
            rightSquare += (double)right[index] * right[index];
        }

        var cosine = product / Math.Sqrt(leftSquare * rightSquare);
        return double.IsFinite(cosine) ? cosine : throw new ModelRejectedException("scorer.clip: the model's embeddings are zero or no numbers", "", null);
    }
}
