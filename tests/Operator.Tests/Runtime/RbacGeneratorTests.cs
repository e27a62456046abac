using Moebius.Operator.Planning;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Runtime;

public sealed class RbacGeneratorTests
{
    [Fact]
    public void The_checked_in_manifest_is_what_the_attributes_say()
    {
        var file = RepositoryFiles.At("operator/manifests/rbac.yaml");
        var generated = RbacGenerator.Yaml(OperatorSettings.DefaultNamespace);
        if (Environment.GetEnvironmentVariable("MOEBIUS_UPDATE_MANIFESTS") == "1")
            File.WriteAllText(file, generated);
        Assert.True(File.Exists(file) && File.ReadAllText(file) == generated, $"{file} is out of date: run `moebius operator rbac -o {file}`");
    }
}
