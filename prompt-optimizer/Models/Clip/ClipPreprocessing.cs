using System.Text.Json;
using Moebius.Crds;

namespace Moebius.PromptOptimizer.Models.Clip;

/// <summary>How an image is scaled: so that its shorter side has a length, or to a width and a height.</summary>
internal sealed record ClipScaling(int? ShortestEdge, int Width, int Height, ScalingFilter Filter)
{
    /// <summary>Width and height of a scaled image. The longer side is rounded down, as CLIP's image processor does it.</summary>
    public (long Width, long Height) Of(long width, long height) => ShortestEdge is not { } edge ? (Width, Height)
        : width <= height ? (edge, edge * height / width)
        : (edge * width / height, edge);
}

/// <summary>
/// What <c>preprocessor_config.json</c> says of images, or the <c>image_processor</c> of <c>processor_config.json</c>. What
/// is not done here is refused by its name.
/// </summary>
/// <param name="Scaling">How images are scaled.</param>
/// <param name="Width">Width of the piece cut from the middle after that.</param>
/// <param name="Height">Its height.</param>
/// <param name="Factor">What values from 0 to 255 are multiplied with.</param>
/// <param name="Mean">Taken from red, green and blue after that.</param>
/// <param name="Deviation">What they are divided by in the end.</param>
internal sealed record ClipPreprocessing(ClipScaling Scaling, int Width, int Height, float Factor, float[] Mean, float[] Deviation)
{
    private const int MostPixels = 2048;
    private const string Expected = "the configuration of CLIP's image processor";

    /// <exception cref="UserInputException">The file is missing, or asks for what is not done here.</exception>
    public static ClipPreprocessing Load(string folder)
    {
        var path = Path.Combine(folder, "preprocessor_config.json");
        var shared = Path.Combine(folder, "processor_config.json");
        if (File.Exists(path))
            return ClipFiles.Json(path, Expected, root => new Reader(root, path).Read());
        if (File.Exists(shared))
            return ClipFiles.Json(shared, Expected, root => new Reader(root.GetProperty("image_processor"), $"{shared}: image_processor").Read());
        throw new UserInputException($"'{path}' does not exist: export the model with its image processor");
    }

    /// <param name="root">The image processor.</param>
    /// <param name="place">Where it stands, for messages.</param>
    private sealed class Reader(JsonElement root, string place)
    {
        private static readonly string[] Steps = ["do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"];

        public ClipPreprocessing Read()
        {
            foreach (var name in new[] { "image_processor_type", "feature_extractor_type" })
            {
                if (Found(name) is { } type && type.GetString()?.StartsWith("CLIP", StringComparison.Ordinal) != true)
                    throw Refused(name, type, "CLIP's image processor is meant: this is another model's");
            }

            foreach (var step in root.EnumerateObject().Where(field => field.Name.StartsWith("do_", StringComparison.Ordinal) && !Steps.Contains(field.Name)))
            {
                if (step.Value.ValueKind is not (JsonValueKind.False or JsonValueKind.Null))
                    throw Refused(step.Name, step.Value, "this step is not done here: false alone is supported");
            }

            if (!Does("do_resize"))
                throw Refused("do_resize", root.GetProperty("do_resize"), "images come in other sizes than the model's: true alone is supported");
            if (!Does("do_convert_rgb"))
                throw Refused("do_convert_rgb", root.GetProperty("do_convert_rgb"), "the model takes red, green and blue: true alone is supported");
            var scaling = Scaling();
            var (width, height) = Does("do_center_crop") ? Sides("crop_size", root.GetProperty("crop_size"))
                : scaling.ShortestEdge is null ? (scaling.Width, scaling.Height)
                : throw Refused("do_center_crop", root.GetProperty("do_center_crop"), "with a size of the shorter side alone, true alone is supported");
            var (leastWidth, leastHeight) = scaling.ShortestEdge is { } edge ? (edge, edge) : (scaling.Width, scaling.Height);
            if (width > leastWidth || height > leastHeight)
                throw Refused("crop_size", root.GetProperty("crop_size"), $"must not be larger than size, {ClipFiles.Shown(root.GetProperty("size"))}");
            var normalizes = Does("do_normalize");
            return new(scaling, width, height, Does("do_rescale") ? Factor() : 1, normalizes ? Three("image_mean", _ => true) : [0, 0, 0], normalizes ? Three("image_std", value => value > 0) : [1, 1, 1]);
        }

        private ClipScaling Scaling()
        {
            var filter = Found("resample") is not { } resample ? ScalingFilter.Bicubic : resample.GetInt32() switch
            {
                2 => ScalingFilter.Bilinear,
                3 => ScalingFilter.Bicubic,
                _ => throw Refused("resample", resample, "2 (bilinear) and 3 (bicubic) are supported"),
            };
            var size = root.GetProperty("size");
            if (size.ValueKind == JsonValueKind.Number)
                return new(Side("size", size), 0, 0, filter);
            if (size.ValueKind == JsonValueKind.Object && size.TryGetProperty("shortest_edge", out var edge) && size.EnumerateObject().Count() == 1)
                return new(Side("size", edge), 0, 0, filter);
            var (width, height) = Sides("size", size);
            return new(null, width, height, filter);
        }

        private float Factor() => Found("rescale_factor") is not { } factor ? 1 / 255f
            : factor.GetSingle() is > 0 and < float.PositiveInfinity and var value ? value
            : throw Refused("rescale_factor", factor, "must be above 0");

        /// <summary>Width and height, which older files have as one number.</summary>
        private (int Width, int Height) Sides(string name, JsonElement value)
        {
            if (value.ValueKind == JsonValueKind.Number)
                return (Side(name, value), Side(name, value));
            return value.ValueKind == JsonValueKind.Object && value.TryGetProperty("width", out var width) && value.TryGetProperty("height", out var height) && value.EnumerateObject().Count() == 2
                ? (Side(name, width), Side(name, height))
                : throw Refused(name, value, $"a number{(name == "size" ? ", {\"shortest_edge\": N}" : "")} and {{\"height\": N, \"width\": N}} are supported");
        }

        private int Side(string name, JsonElement value) => value.GetInt32() is >= 1 and <= MostPixels and var side
            ? side
            : throw Refused(name, value, $"must be 1 to {MostPixels}");

        private float[] Three(string name, Func<float, bool> allowed)
        {
            var list = root.GetProperty(name);
            float[] values = [.. list.EnumerateArray().Select(value => value.GetSingle())];
            return values.Length == 3 && values.All(value => float.IsFinite(value) && allowed(value)) ? values : throw Refused(name, list, "must be three numbers, those of image_std above 0");
        }

        private bool Does(string step) => Found(step) is not { } value || value.GetBoolean();

        private JsonElement? Found(string name) => root.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

        private UserInputException Refused(string name, JsonElement value, string right) => new($"'{place}': {name}: is {ClipFiles.Shown(value)}: {right}");
    }
}
