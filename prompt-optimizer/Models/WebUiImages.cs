using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using Moebius.Crds.V1Alpha1;

namespace Moebius.PromptOptimizer.Models;

/// <summary>
/// The API of AUTOMATIC1111's stable-diffusion-webui (<c>POST sdapi/v1/txt2img</c>), which Forge and SD.Next speak, too.
/// The server draws one image after the other and answers with the image inline.
/// </summary>
internal sealed class WebUiImages : IImageModel
{
    private const int MaxNames = 20;

    private readonly ImageSettings _settings;
    private readonly ImageServer _server;

    public WebUiImages(ImageSettings settings, ModelCalls calls) =>
        (_settings, _server) = (settings, new ImageServer(settings.Endpoint, calls, Words, Hint));

    public PromptDialect Dialect => _settings.Dialect;

    public bool RefusesPrompts => false;

    public async Task<GeneratedImage> GenerateAsync(ImagePrompt prompt, CancellationToken cancel)
    {
        // The server passes over a checkpoint that it does not know, and draws with whichever is loaded.
        var checkpoint = await FindCheckpointAsync(cancel).ConfigureAwait(false);
        var answer = await _server.PostAsync("sdapi/v1/txt2img", Request(prompt, checkpoint), cancel).ConfigureAwait(false);
        var image = _server.Read(answer, "the answer has no images[0] in base64: an endpoint that answers inline is needed", root => Decode(ImageServer.Text(root.GetProperty("images")[0])));
        return GeneratedImage.Of(image, _settings.Endpoint.Field);
    }

    public void Dispose() => _server.Dispose();

    /// <summary>The server's words of an error: <c>detail</c> is a text, or FastAPI's list of fields that are wrong.</summary>
    internal static string? Words(JsonElement root)
    {
        if (root.TryGetProperty("detail", out var detail) && detail.ValueKind == JsonValueKind.Array)
            return string.Join("; ", detail.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.Object).Select(Field));
        foreach (var name in new[] { "detail", "errors", "error" })
        {
            if (root.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String && value.GetString() is { Length: > 0 } text)
                return text;
        }

        return null;
    }

    private static string Field(JsonElement item)
    {
        var path = item.TryGetProperty("loc", out var place) && place.ValueKind == JsonValueKind.Array ? string.Join('.', place.EnumerateArray().Select(part => part.ToString())) : "?";
        return $"{path}: {(item.TryGetProperty("msg", out var message) ? message.ToString() : "?")}";
    }

    private static string Hint(int status) => status switch
    {
        401 or 403 => "give user:password of --api-auth, or the token of the proxy, as the API key",
        404 => "start the server with --api, and give its own URL, without /sdapi/v1",
        _ => "",
    };

    private static byte[] Decode(string text)
    {
        // Some servers put the media type before it: data:image/png;base64,...
        var start = text.StartsWith("data:", StringComparison.Ordinal) ? text.IndexOf(',', StringComparison.Ordinal) + 1 : 0;
        return Convert.FromBase64String(text[start..]);
    }

    private JsonObject Request(ImagePrompt prompt, string checkpoint)
    {
        var drawing = Drawing.For(_settings.Dialect);
        var (width, height) = _settings.Pixels;
        return new JsonObject
        {
            ["prompt"] = prompt.Positive,
            ["negative_prompt"] = prompt.Negative,
            ["width"] = width,
            ["height"] = height,
            ["steps"] = drawing.Steps,
            ["cfg_scale"] = drawing.Guidance,
            ["seed"] = RandomNumberGenerator.GetInt32(int.MaxValue),
            ["batch_size"] = 1,
            ["n_iter"] = 1,
            ["send_images"] = true,
            // Nothing of a job stays behind on the server.
            ["save_images"] = false,
            ["override_settings"] = new JsonObject { ["sd_model_checkpoint"] = checkpoint },
        };
    }

    /// <summary>The title of the configured checkpoint, by which every one of these servers knows it.</summary>
    private async Task<string> FindCheckpointAsync(CancellationToken cancel)
    {
        var wanted = _settings.Endpoint.Model;
        var answer = await _server.GetAsync("sdapi/v1/sd-models", cancel).ConfigureAwait(false);
        var (found, names) = _server.Read(answer, "sdapi/v1/sd-models does not list checkpoints: this is not the API of stable-diffusion-webui", root =>
        {
            var checkpoints = root.EnumerateArray().Select(item => (Title: ImageServer.Text(item.GetProperty("title")), Names: Names(item))).ToList();
            return (checkpoints.Where(one => one.Names.Contains(wanted, StringComparer.Ordinal)).Select(one => one.Title).FirstOrDefault(), checkpoints.Select(one => one.Title).ToList());
        });
        var known = names.Count == 0 ? "it has none" : $"it has {string.Join(", ", names.Take(MaxNames).Select(name => $"'{name}'"))}{(names.Count > MaxNames ? ", ..." : "")}";
        return found ?? throw new ModelRejectedException($"{_settings.Endpoint.Field}.model: the server has no checkpoint '{wanted}'", $": {known}", null);
    }

    private static List<string> Names(JsonElement item)
    {
        var names = new List<string>();
        foreach (var name in new[] { "title", "model_name", "hash", "sha256" })
        {
            if (item.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String)
                names.Add(value.GetString()!);
        }

        // A title ends with the hash in brackets.
        if (names.Count > 0 && names[0].LastIndexOf(" [", StringComparison.Ordinal) is > 0 and var end)
            names.Add(names[0][..end]);
        if (item.TryGetProperty("filename", out var file) && file.ValueKind == JsonValueKind.String)
        {
            // Of either kind of path: the server may run on Windows.
            var name = file.GetString()!.Split('/', '\\')[^1];
            names.AddRange([name, Path.GetFileNameWithoutExtension(name)]);
        }

        return names;
    }
}
