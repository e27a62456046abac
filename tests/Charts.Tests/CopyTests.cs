using System.Text.Json.Nodes;
using Moebius.KubernetesEnvironment;

namespace Moebius.Charts.Tests;

/// <summary>What is generated or copied is what its source says.</summary>
public sealed class CopyTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("moebius-charts");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task Checked_in_copies_are_what_the_script_writes()
    {
        var helm = (await KubernetesAssets.FindAsync()).Program("helm");

        (await Tool.RunAsync(RepositoryFiles.At("charts/sync.sh"), [_folder.FullName], ("HELM", helm))).EnsureSuccess();

        var written = Directory.GetFiles(_folder.FullName, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(_folder.FullName, file)).ToList();
        Assert.Equal(7, written.Count);
        foreach (var file in written)
            Assert.True(File.ReadAllText(RepositoryFiles.At(file)) == File.ReadAllText(Path.Combine(_folder.FullName, file)), $"{file} is out of date: run `make charts`");
    }

    [Fact]
    public void The_chart_of_definitions_holds_every_generated_definition_and_no_other()
    {
        var generated = Names(RepositoryFiles.At("crds/manifests"));

        Assert.NotEmpty(generated);
        Assert.Equal(generated, Names(RepositoryFiles.At("charts/moebius-crds/files")).Where(name => name != "kustomization.yaml"));
        var listed = Rendered.Parse(File.ReadAllText(RepositoryFiles.At("charts/moebius-crds/files/kustomization.yaml"))).Objects[0]["resources"]!.AsArray();
        Assert.Equal(generated, listed.Select(name => (string)name!));
    }

    [Fact]
    public async Task Definitions_are_rendered_as_they_are_generated()
    {
        var rendered = Rendered.Parse((await Tool.HelmAsync("template", "crds", RepositoryFiles.At("charts/moebius-crds"))).EnsureSuccess().StandardOutput);

        Assert.Empty(rendered.UnknownKinds());
        var generated = Directory.GetFiles(RepositoryFiles.At("crds/manifests")).Order(StringComparer.Ordinal).Select(file => Rendered.Parse(File.ReadAllText(file)).Objects[0]).ToList();
        Assert.Equal(generated.Count, rendered.Objects.Count);
        foreach (var (expected, actual) in generated.Zip(rendered.Objects))
        {
            Assert.Equal("keep", (string?)actual["metadata"]!["annotations"]!["helm.sh/resource-policy"]);
            Assert.True(JsonNode.DeepEquals(expected["spec"], actual["spec"]), $"{Rendered.Name(expected)}: differs from its file");
        }
    }

    [Fact]
    public async Task Definitions_may_be_given_up_and_labelled()
    {
        var rendered = Rendered.Parse((await Tool.HelmAsync("template", "crds", RepositoryFiles.At("charts/moebius-crds"), "--set", "keep=false,labels.team=ml,annotations.note=x")).EnsureSuccess().StandardOutput);

        Assert.All(rendered.Objects, one =>
        {
            Assert.Equal(["note"], one["metadata"]!["annotations"]!.AsObject().Select(entry => entry.Key));
            Assert.Equal("ml", (string?)one["metadata"]!["labels"]!["team"]);
            Assert.Equal("moebius", (string?)one["metadata"]!["labels"]!["app.kubernetes.io/part-of"]);
        });
    }

    private static List<string> Names(string path) => [.. Directory.GetFiles(path).Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal)];
}
