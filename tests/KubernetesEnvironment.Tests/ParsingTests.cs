namespace Moebius.KubernetesEnvironment.Tests;

/// <summary>What is decided without a server.</summary>
public sealed class ParsingTests
{
    [Theory]
    [InlineData("Kubernetes v1.20.2\n", "1.20.2", true)]
    [InlineData("Kubernetes v1.28.15-eks-1552ad0", "1.28.15", true)]
    [InlineData("Kubernetes v1.29.0", "1.29.0", false)]
    [InlineData("Kubernetes v1.33.0-rc.1+k3s1", "1.33.0", false)]
    public void Version_decides_whether_crds_are_served_apart(string printed, string version, bool apart)
    {
        var parsed = KubernetesAssets.ParseVersion(printed);

        Assert.Equal(Version.Parse(version), parsed);
        Assert.Equal(apart, KubernetesAssets.LacksCel(parsed));
    }

    [Fact]
    public void Text_without_a_version_is_named_in_the_error()
    {
        var error = Assert.Throws<InvalidOperationException>(() => KubernetesAssets.ParseVersion("segmentation fault"));
        Assert.Contains("'segmentation fault'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void File_of_crds_is_split_into_documents()
    {
        const string text =
            """
            # generated
            ---
            kind: CustomResourceDefinition
            metadata: {name: a.example.com}
            --- # second
            kind: CustomResourceDefinition
            metadata:
              name: b.example.com
            ---
            """;
        Assert.Equal(["a.example.com", "b.example.com"], CustomResources.Definitions("crds.yaml", text).Select(d => d.Name));
    }

    [Theory]
    [InlineData("kind: ConfigMap\nmetadata: {name: a}", "crds.yaml: kind is 'ConfigMap'")]
    [InlineData("kind: CustomResourceDefinition", "crds.yaml: a CustomResourceDefinition lacks metadata.name")]
    public void Document_that_is_no_crd_is_named_in_the_error(string text, string expected)
    {
        var error = Assert.Throws<ArgumentException>(() => CustomResources.Definitions("crds.yaml", text).ToList());
        Assert.StartsWith(expected, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Audit_line_becomes_an_event()
    {
        const string line =
            """
            {"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"1","stage":"ResponseComplete","requestURI":"/apis/apps/v1/namespaces/n/deployments/d/status?fieldManager=m","verb":"patch","user":{"username":"u"},"userAgent":"agent/1","objectRef":{"resource":"deployments","namespace":"n","name":"d","apiGroup":"apps","apiVersion":"v1","subresource":"status"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-01-02T03:04:05.678901Z","stageTimestamp":"2026-01-02T03:04:05.7Z"}
            """;
        var expected = new AuditEvent(
            new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero).AddTicks(6789010),
            "patch",
            "/apis/apps/v1/namespaces/n/deployments/d/status?fieldManager=m",
            "u",
            "agent/1",
            "apps",
            "deployments",
            "status",
            "n",
            "d",
            200);

        Assert.Equal(expected, AuditLog.Parse(line));
        Assert.True(AuditLog.Parse(line).IsWrite);
        Assert.False(AuditLog.Parse("""{"verb":"watch","requestReceivedTimestamp":"2026-01-02T03:04:05Z"}""").IsWrite);
    }
}
