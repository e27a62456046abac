using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using YamlDotNet.RepresentationModel;

namespace Moebius.KubernetesEnvironment;

/// <summary>
/// Installs CRDs and waits until their resources answer. When CRDs are served apart, the group <c>apiextensions.k8s.io</c>
/// and every group and version of a CRD is routed to that server with an APIService of its own.
/// </summary>
/// <param name="core">The core server.</param>
/// <param name="ports">Where the separate server listens.</param>
/// <param name="servedApart">Whether CRDs are served by the separate server.</param>
/// <param name="authorityPem">Who signed that server's certificate.</param>
/// <param name="applyLeniently">
/// Applies a manifest without complaint about fields that the server does not know, for a core that is too old for CEL rules
/// and cannot even apply them server-side; null for every other.
/// </param>
/// <param name="timeout">The limit of every wait.</param>
internal sealed partial class CustomResources(
    ApiConnection core,
    ServerPorts ports,
    bool servedApart,
    string authorityPem,
    Func<string, CancellationToken, Task>? applyLeniently,
    TimeSpan timeout)
{
    /// <summary>The name by which the aggregator knows the separate server, whatever its address.</summary>
    public const string ServerName = $"{ServiceName}.{ServiceNamespace}.svc";

    private const string DefinitionsPath = "apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    private const string ApiServicesPath = "apis/apiregistration.k8s.io/v1/apiservices";
    private const string ServiceNamespace = "kube-system";
    private const string ServiceName = "apiextensions-apiserver";

    private readonly HashSet<string> _installed = [];

    /// <summary>Routes <c>apiextensions.k8s.io/v1</c> to the separate server.</summary>
    public async Task RouteDefinitionsAsync(CancellationToken cancellationToken)
    {
        await core.UntilAsync("namespace kube-system", token => core.AnswersAsync($"api/v1/namespaces/{ServiceNamespace}", token), timeout, cancellationToken).ConfigureAwait(false);
        var service = new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Service",
            ["metadata"] = new JsonObject { ["name"] = ServiceName },
            ["spec"] = new JsonObject
            {
                ["type"] = "ExternalName",
                ["externalName"] = "localhost",
                ["ports"] = new JsonArray(new JsonObject { ["port"] = ports.Extensions, ["protocol"] = "TCP" }),
            },
        };
        await core.ApplyAsync($"api/v1/namespaces/{ServiceNamespace}/services/{ServiceName}", service.ToJsonString(), cancellationToken).ConfigureAwait(false);

        // Without its label the core no longer resets the APIService to "served here".
        var patch = new JsonObject
        {
            ["metadata"] = new JsonObject { ["labels"] = new JsonObject { ["kube-aggregator.kubernetes.io/automanaged"] = null } },
            ["spec"] = RouteSpec(),
        };
        await core.MergeAsync($"{ApiServicesPath}/v1.apiextensions.k8s.io", patch.ToJsonString(), cancellationToken).ConfigureAwait(false);
        await WaitRoutedAsync("v1.apiextensions.k8s.io", cancellationToken).ConfigureAwait(false);
        await core.UntilAsync("CRDs answer from the separate server", AnswersApartAsync, timeout, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Applies the CRDs in the files, and in the *.yaml and *.yml files of the folders.</summary>
    public async Task InstallAsync(IEnumerable<string> paths, CancellationToken cancellationToken)
    {
        foreach (var file in paths.SelectMany(Files))
        {
            foreach (var (name, manifest) in Definitions(file, await File.ReadAllTextAsync(file, cancellationToken).ConfigureAwait(false)))
            {
                await ApplyAsync(name, manifest, cancellationToken).ConfigureAwait(false);
                _installed.Add(name);
            }
        }

        await WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>A definition that was installed is gone, and nobody waits for it any more.</summary>
    public void Forget(string name) => _installed.Remove(name);

    /// <summary>Waits until every resource that was installed answers.</summary>
    public async Task WaitAsync(CancellationToken cancellationToken)
    {
        var definitions = await Task.WhenAll(_installed.Select(name => WaitEstablishedAsync(name, cancellationToken))).ConfigureAwait(false);
        var resources = definitions.SelectMany(ServedResources).ToList();
        if (servedApart)
        {
            foreach (var (group, version) in resources.Select(r => (r.Group, r.Version)).Distinct())
                await RouteAsync(group, version, cancellationToken).ConfigureAwait(false);
        }

        // "Established" and "Available" both precede the route by a moment.
        foreach (var (group, version, plural) in resources)
        {
            await core.UntilAsync(
                $"{plural}.{version}.{group} is listed and discovered",
                async token => await core.AnswersAsync($"apis/{group}/{version}/{plural}?limit=1", token).ConfigureAwait(false)
                    && await DiscoversAsync(group, version, plural, token).ConfigureAwait(false),
                timeout,
                cancellationToken).ConfigureAwait(false);
        }
    }

    internal static IEnumerable<(string Name, string Manifest)> Definitions(string file, string text)
    {
        foreach (var document in DocumentSeparator().Split(text))
        {
            var yaml = new YamlStream();
            yaml.Load(new StringReader(document));
            if (yaml.Documents.Count == 0 || yaml.Documents[0].RootNode is not YamlMappingNode root)
                continue;
            var kind = Scalar(root, "kind");
            if (kind != "CustomResourceDefinition")
                throw new ArgumentException($"{file}: kind is '{kind}'; only CustomResourceDefinition can be installed as a CRD");
            var name = root.Children.TryGetValue("metadata", out var metadata) && metadata is YamlMappingNode map ? Scalar(map, "name") : null;
            yield return (name ?? throw new ArgumentException($"{file}: a CustomResourceDefinition lacks metadata.name"), document);
        }
    }

    private static string? Scalar(YamlMappingNode map, string key) =>
        map.Children.TryGetValue(key, out var value) && value is YamlScalarNode scalar ? scalar.Value : null;

    private static IEnumerable<string> Files(string path)
    {
        if (File.Exists(path))
            return [path];
        if (!Directory.Exists(path))
            throw new FileNotFoundException($"'{path}' is neither a file nor a folder; name a CRD's YAML file or a folder of them", path);
        return Directory.GetFiles(path).Where(f => Path.GetExtension(f) is ".yaml" or ".yml").Order(StringComparer.Ordinal);
    }

    private static bool HasCondition(JsonNode? node, string type) => node?["status"]?["conditions"] is JsonArray conditions
        && conditions.Any(c => (string?)c?["type"] == type && (string?)c?["status"] == "True");

    private Task ApplyAsync(string name, string manifest, CancellationToken cancellationToken) => applyLeniently is null
        ? core.ApplyAsync($"{DefinitionsPath}/{name}", manifest, cancellationToken)
        : applyLeniently(manifest, cancellationToken);

    private async Task<JsonNode> WaitEstablishedAsync(string name, CancellationToken cancellationToken)
    {
        JsonNode? definition = null;
        await core.UntilAsync(
            $"CRD {name} is established",
            async token => HasCondition(definition = await core.GetAsync($"{DefinitionsPath}/{name}", token).ConfigureAwait(false), "Established"),
            timeout,
            cancellationToken).ConfigureAwait(false);
        return definition!;
    }

    private static IEnumerable<(string Group, string Version, string Plural)> ServedResources(JsonNode definition)
    {
        var spec = definition["spec"]!;
        return spec["versions"]!.AsArray()
            .Where(version => (bool)version!["served"]!)
            .Select(version => ((string)spec["group"]!, (string)version!["name"]!, (string)spec["names"]!["plural"]!));
    }

    private async Task<bool> DiscoversAsync(string group, string version, string plural, CancellationToken cancellationToken)
    {
        var groups = await core.GetAsync("apis", cancellationToken).ConfigureAwait(false);
        var resources = await core.GetAsync($"apis/{group}/{version}", cancellationToken).ConfigureAwait(false);
        return groups?["groups"]?.AsArray().Any(g => (string?)g?["name"] == group) == true
            && resources?["resources"]?.AsArray().Any(r => (string?)r?["name"] == plural) == true;
    }

    private async Task RouteAsync(string group, string version, CancellationToken cancellationToken)
    {
        var name = $"{version}.{group}";
        var spec = RouteSpec();
        spec["group"] = group;
        spec["version"] = version;
        spec["groupPriorityMinimum"] = 1000;
        spec["versionPriority"] = 100;
        var apiService = new JsonObject
        {
            ["apiVersion"] = "apiregistration.k8s.io/v1",
            ["kind"] = "APIService",
            ["metadata"] = new JsonObject { ["name"] = name },
            ["spec"] = spec,
        };
        await core.CreateOrMergeAsync(ApiServicesPath, name, apiService.ToJsonString(), cancellationToken).ConfigureAwait(false);
        await WaitRoutedAsync(name, cancellationToken).ConfigureAwait(false);
    }

    private Task WaitRoutedAsync(string apiService, CancellationToken cancellationToken) => core.UntilAsync(
        $"APIService {apiService} is available",
        async token => HasCondition(await core.GetAsync($"{ApiServicesPath}/{apiService}", token).ConfigureAwait(false), "Available"),
        timeout,
        cancellationToken);

    /// <summary>Tells the two servers of CRDs apart by a part of discovery that a core old enough to need help lacks.</summary>
    private async Task<bool> AnswersApartAsync(CancellationToken cancellationToken)
    {
        var resources = await core.GetAsync("apis/apiextensions.k8s.io/v1", cancellationToken).ConfigureAwait(false);
        return resources?["resources"]?.AsArray().Any(r => r?["categories"] is not null) == true;
    }

    private JsonObject RouteSpec() => new()
    {
        ["caBundle"] = Convert.ToBase64String(Encoding.UTF8.GetBytes(authorityPem)),
        ["service"] = new JsonObject { ["name"] = ServiceName, ["namespace"] = ServiceNamespace, ["port"] = ports.Extensions },
    };

    [GeneratedRegex(@"^---.*$", RegexOptions.Multiline)]
    private static partial Regex DocumentSeparator();
}
