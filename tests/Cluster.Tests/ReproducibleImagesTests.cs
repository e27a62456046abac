using Moebius.Images;

namespace Moebius.Cluster.Tests;

/// <summary>A second build of everything, in another folder.</summary>
[Trait("Category", "Node")]
public sealed class ReproducibleImagesTests
{
    [Fact]
    public async Task Second_build_gives_the_same_digests()
    {
        var first = RepositoryFiles.At("bin/images/oci/index.json");
        Assert.SkipUnless(File.Exists(first), "bin/images is missing: run 'make images'");
        var folder = Directory.CreateTempSubdirectory("moebius-images-");
        try
        {
            var build = await ImageBuild.OfCheckoutAsync(RepositoryFiles.Root, folder.FullName, "docker.io/library", null, CancellationToken.None);
            await build.RunAsync(CancellationToken.None);

            Assert.Equal(await File.ReadAllTextAsync(first), await File.ReadAllTextAsync(Path.Combine(build.Layout, "index.json")));
            foreach (var image in Catalog.Images)
                Assert.Equal(await File.ReadAllTextAsync(RepositoryFiles.At($"bin/images/{image.Name}.cdx.json")), await File.ReadAllTextAsync(Path.Combine(folder.FullName, $"{image.Name}.cdx.json")));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
