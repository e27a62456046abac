using Moebius.Crds.V1Alpha1;
using Moebius.PromptOptimizer.Jobs;
using Moebius.PromptOptimizer.Models.Clip;
using Moebius.PromptOptimizer.Models.Comfy;

namespace Moebius.PromptOptimizer.Models;

/// <summary>Makes and owns the clients of the configured endpoints, and owns the model that runs in this process.</summary>
internal sealed class ModelClients : IDisposable
{
    private readonly List<IDisposable> _owned = [];

    public ModelClients(OptimizerSettings settings, CallTiming timing, TimeProvider time, PromptMetrics metrics, ClipModel? clip)
    {
        var language = Own(new ChatModel(settings.LanguageModel, Calls(settings.LanguageModel, "language")));
        var vision = settings.VisionModel is { } scorer ? Own(new ChatModel(scorer, Calls(scorer, "scorer"))) : null;
        var image = settings.ImageModel is { } images ? Own(Image(images, Calls(images.Endpoint, "image"), time)) : null;
        Models = new(language, vision, image, clip is null ? null : new ClipScorer(Own(clip)));

        ModelCalls Calls(EndpointSettings endpoint, string name) => new(endpoint, timing, time, metrics.Requests(name));
    }

    public ModelSet Models { get; }

    public void Dispose() => _owned.ForEach(client => client.Dispose());

    private static IImageModel Image(ImageSettings images, ModelCalls calls, TimeProvider time) => images.Api switch
    {
        ImageApi.OpenAI => new ImageModel(images, calls),
        ImageApi.Automatic1111 => new WebUiImages(images, calls),
        ImageApi.ComfyUI => new ComfyImages(images, calls, time),
        var other => throw new ArgumentOutOfRangeException(nameof(images), other, "unknown API of images"),
    };

    private T Own<T>(T client) where T : IDisposable
    {
        _owned.Add(client);
        return client;
    }
}
