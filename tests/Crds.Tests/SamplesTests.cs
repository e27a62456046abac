using Moebius.Crds.Validation;

namespace Moebius.Crds.Tests;

public sealed class SamplesTests
{
    public static TheoryData<string> Samples { get; } = [.. ResourceKinds.All.Select(kind => kind.Kind.ToLowerInvariant() + ".yaml")];

    [Theory]
    [MemberData(nameof(Samples))]
    public void A_sample_of_each_kind_is_a_valid_resource(string file)
    {
        var path = RepositoryFiles.At("samples/" + file);
        var resource = ManifestValidator.LoadResource(Assert.Single(Manifests.ParseDocuments(Manifests.ReadText(path), path)), path);
        Assert.Equal(file, resource.GetType().Name.ToLowerInvariant() + ".yaml");
    }
}
