using Moebius.Images;

namespace Moebius.Cluster.Tests;

/// <summary>The image that holds the namespaces of a pod: Debian's catatonit, which waits and does nothing.</summary>
internal static class PauseImage
{
    public const string Reference = "docker.io/moebius-test/pause:1";

    public static async Task WriteAsync(string archive, string work)
    {
        var packages = await PackageStore.FetchAsync(RepositoryFiles.Root, ["catatonit"], CancellationToken.None);
        var content = new LayerContent();
        await packages["catatonit"].AddToAsync(content, path => path == "usr/bin/catatonit", CancellationToken.None);
        var layout = new OciLayout(work);
        var layer = await layout.Blobs.AddLayerAsync("catatonit", content, CancellationToken.None);
        await layout.AddImageAsync(
            new ImageConfig(Reference, "65535:65535", ["/usr/bin/catatonit", "-P"], [], ["PATH=/usr/bin"], new Dictionary<string, string>(), DateTimeOffset.UnixEpoch),
            [layer],
            CancellationToken.None);
        await layout.CompleteAsync(CancellationToken.None);
        await OciLayout.WriteArchiveAsync(work, archive, CancellationToken.None);
    }
}
