using Moebius.Crds.Generation;

namespace Moebius.Crds.Tests;

public sealed class GeneratedFilesTests
{
    [Fact]
    public void Checked_in_files_are_what_the_types_generate() =>
        Assert.Empty(GeneratedFiles.Differences(RepositoryFiles.At("crds/manifests"), RepositoryFiles.At("docs/api.md")));

    [Fact]
    public void A_missing_a_changed_and_a_left_over_file_are_found_and_repaired()
    {
        using var folder = new TemporaryFolder();
        var (manifests, reference) = (folder.File("manifests"), folder.File("api.md"));
        Assert.Equal(6, GeneratedFiles.Write(manifests, reference).Count);
        Assert.Empty(GeneratedFiles.Differences(manifests, reference));

        var missing = Path.Combine(manifests, "moebius.dev_moedeployments.yaml");
        var left = Path.Combine(manifests, "moebius.dev_gone.yaml");
        File.Delete(missing);
        File.WriteAllText(left, "");
        File.AppendAllText(reference, "x");
        File.WriteAllText(Path.Combine(manifests, "somebody-elses.yaml"), "");
        Assert.Equal([reference, missing, left], GeneratedFiles.Differences(manifests, reference).Order(StringComparer.Ordinal).OrderBy(path => path == left));

        GeneratedFiles.Write(manifests, reference);
        Assert.Empty(GeneratedFiles.Differences(manifests, reference));
        Assert.False(File.Exists(left));
        Assert.True(File.Exists(Path.Combine(manifests, "somebody-elses.yaml")));
    }
}
