using Moebius.Crds.V1Alpha1;
using Moebius.PromptOptimizer.Models;

namespace Moebius.PromptOptimizer.Tests.Images;

/// <summary>The settings that the tests of image servers share.</summary>
internal static class ImageClient
{
    /// <summary>One grey pixel.</summary>
    public const string Pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==";

    public static EndpointSettings Endpoint(string url, string model, string? key = null, TimeSpan? timeout = null) =>
        new("imageModel.endpoint", new Uri(url + "/"), model, key, timeout ?? TimeSpan.FromSeconds(20));

    public static ImageSettings Settings(EndpointSettings endpoint, ImageApi api, PromptDialect dialect = PromptDialect.StableDiffusion) => new(endpoint, "640x512", api, dialect);

    /// <summary>Calls with one repetition and short waits.</summary>
    public static ModelCalls Calls(EndpointSettings endpoint, Action<string>? counted = null) =>
        new(endpoint, new CallTiming(1, TimeSpan.FromMilliseconds(5), TimeSpan.FromSeconds(2)), TimeProvider.System, counted ?? (_ => { }));
}
