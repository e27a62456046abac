using System.Text;
using System.Text.Json;

namespace Moebius.KubernetesEnvironment;

/// <summary>A kubeconfig that carries its certificates inside, written as JSON, which is YAML too.</summary>
internal static class Kubeconfig
{
    public static string Render(Uri server, string authorityPem, PemPair client) => JsonSerializer.Serialize(new Dictionary<string, object>
    {
        ["apiVersion"] = "v1",
        ["kind"] = "Config",
        ["current-context"] = "test",
        ["clusters"] = new[] { Named("cluster", new() { ["server"] = server.ToString().TrimEnd('/'), ["certificate-authority-data"] = Base64(authorityPem) }) },
        ["users"] = new[] { Named("user", new() { ["client-certificate-data"] = Base64(client.Certificate), ["client-key-data"] = Base64(client.Key) }) },
        ["contexts"] = new[] { Named("context", new() { ["cluster"] = "test", ["user"] = "test" }) },
    });

    private static Dictionary<string, object> Named(string kind, Dictionary<string, string> content) => new() { ["name"] = "test", [kind] = content };

    private static string Base64(string text) => Convert.ToBase64String(Encoding.UTF8.GetBytes(text));
}
