using System.Text.Json.Nodes;

namespace Moebius.PromptOptimizer.Models.Comfy;

/// <summary>The workflow that a picture of a checkpoint needs, in ComfyUI's API form: nodes by id, links as [id, output].</summary>
internal static class ComfyGraph
{
    /// <summary>
    /// Checkpoint, two prompts, empty latent image, sampler, decoder, preview. A preview is kept among ComfyUI's
    /// temporary files, which its next start clears, where a saved image would stay for ever.
    /// </summary>
    /// <param name="settings">Checkpoint, size and dialect.</param>
    /// <param name="prompt">The prompts.</param>
    /// <param name="seed">Noise to start from. ComfyUI does not run a graph again of which nothing has changed, so each image needs another.</param>
    public static JsonObject Of(ImageSettings settings, ImagePrompt prompt, int seed)
    {
        var drawing = Drawing.For(settings.Dialect);
        var (width, height) = settings.Pixels;
        return new JsonObject
        {
            ["checkpoint"] = Node("CheckpointLoaderSimple", ("ckpt_name", settings.Endpoint.Model)),
            ["positive"] = Node("CLIPTextEncode", ("text", prompt.Positive), ("clip", Link("checkpoint", 1))),
            ["negative"] = Node("CLIPTextEncode", ("text", prompt.Negative), ("clip", Link("checkpoint", 1))),
            ["canvas"] = Node("EmptyLatentImage", ("width", width), ("height", height), ("batch_size", 1)),
            ["sampler"] = Node(
                "KSampler",
                ("model", Link("checkpoint", 0)),
                ("positive", Link("positive", 0)),
                ("negative", Link("negative", 0)),
                ("latent_image", Link("canvas", 0)),
                ("seed", seed),
                ("steps", drawing.Steps),
                ("cfg", drawing.Guidance),
                ("sampler_name", drawing.Sampler),
                ("scheduler", drawing.Scheduler),
                ("denoise", 1.0)),
            ["picture"] = Node("VAEDecode", ("samples", Link("sampler", 0)), ("vae", Link("checkpoint", 2))),
            ["preview"] = Node("PreviewImage", ("images", Link("picture", 0))),
        };
    }

    private static JsonObject Node(string type, params (string Name, JsonNode? Value)[] inputs) =>
        new() { ["class_type"] = type, ["inputs"] = new JsonObject(inputs.Select(input => KeyValuePair.Create(input.Name, input.Value))) };

    private static JsonArray Link(string node, int output) => [node, output];
}
