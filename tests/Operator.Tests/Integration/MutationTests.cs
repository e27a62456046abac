using System.Globalization;
using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Moebius.Crds;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Integration;

/// <summary>Manifests with mistakes: whatever they are, they end in an admission error or in a condition.</summary>
[Collection(ClusterTests.Name)]
[Trait("Category", "Cluster")]
public sealed class MutationTests(OperatorCluster cluster)
{
    /// <summary>Manifests of each kind; more by MOEBIUS_TEST_MUTATIONS.</summary>
    private static readonly int OfEachKind = int.TryParse(Environment.GetEnvironmentVariable("MOEBIUS_TEST_MUTATIONS"), CultureInfo.InvariantCulture, out var asked) ? asked : 40;

    private static readonly JsonNode?[] Odd =
    [
        null, "", "-1", -1, 0, 2147483647, 1e18, "x".PadLeft(300, 'x'), "../../etc/passwd", "10Gi", "0", "1m", "999999Ti", "soon", "1h", true, "\u0000\ud83d\ude00",
        new JsonArray(), new JsonObject(), new JsonArray(1, "a", null), new JsonObject { ["name"] = "x" }, "(?<=a)(b", "http://[::1", "s3://", "Keda", "Required",
    ];

    private static readonly string[] Files = ["moedeployment.yaml", "kvprivacypolicy.yaml", "memoryschedulingprofile.yaml", "promptoptimizer.yaml", "promptoptimizationjob.yaml"];

    [Fact]
    public async Task Mutated_manifests_end_in_a_condition_or_an_admission_error()
    {
        var shop = await cluster.NamespaceAsync("mutated");
        using var view = new ClusterView(cluster);
        await using var running = cluster.StartOperator();
        var seeds = Files.SelectMany(file => Manifests.ParseDocuments(File.ReadAllText(RepositoryFiles.At($"samples/{file}")), file)).ToList();
        TestContext.Current.TestOutputHelper?.WriteLine($"MOEBIUS_TEST_SEED={Seeds.First} MOEBIUS_TEST_MUTATIONS={OfEachKind}");
        var documents = seeds.Index().SelectMany(one => Mutated(one.Item).Sample(OfEachKind, Seeds.Random(one.Index), 50)).ToList();
        Assert.Equal(OfEachKind * Files.Length, documents.Count);
        var accepted = new List<(string Path, string Manifest)>();
        var refused = 0;
        foreach (var (index, document) in documents.Index())
        {
            var kind = (string)document["kind"]!;
            var type = ResourceKinds.All.Single(one => one.Kind == kind);
            document["metadata"] = new JsonObject { ["name"] = $"m{index.ToString(CultureInfo.InvariantCulture)}" };
            var collection = type.Namespaced ? $"apis/moebius.dev/v1alpha1/namespaces/{shop}/{type.Plural}" : $"apis/moebius.dev/v1alpha1/{type.Plural}";
            try
            {
                await view.Api.CreateAsync(collection, (JsonObject)document.DeepClone(), TestContext.Current.CancellationToken);
                accepted.Add(($"{collection}/m{index.ToString(CultureInfo.InvariantCulture)}", document.ToJsonString()));
            }
            catch (ApiException error)
            {
                Assert.True((int)error.StatusCode is >= 400 and < 500, $"{error.Message}: {document.ToJsonString()}");
                Assert.NotEmpty(error.Detail);
                refused++;
            }
        }

        foreach (var (path, manifest) in accepted)
        {
            JsonObject? last = null;
            await Eventually.TrueAsync(async () =>
            {
                last = await view.Api.GetAsync(path, TestContext.Current.CancellationToken);
                Assert.False(running.Completion.IsCompleted, $"the operator ended over {manifest}");
                return (long?)last["status"]?["observedGeneration"] == (long?)last["metadata"]!["generation"] && last["status"]?["conditions"] is JsonArray { Count: > 0 };
            });
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{refused} refused, {accepted.Count} with conditions");
        Assert.Equal(documents.Count, refused + accepted.Count);
        Assert.True(accepted.Count > 20 && refused > 20, $"{refused} refused, {accepted.Count} accepted: the mutations do not try both ways");
        // Its own alone: others wait for the nodes of theirs.
        string[] profiles = [.. accepted.Where(one => one.Path.Contains("/memoryschedulingprofiles/", StringComparison.Ordinal)).Select(one => $"msp/{one.Path[(one.Path.LastIndexOf('/') + 1)..]}")];
        if (profiles.Length > 0)
            (await cluster.KubectlAsync(["delete", .. profiles])).EnsureSuccess();
    }

    [Fact]
    public async Task Mutated_edits_of_what_runs_end_in_a_condition_or_an_admission_error()
    {
        var shop = await cluster.NamespaceAsync("mutated-edits");
        using var view = new ClusterView(cluster);
        await using var running = cluster.StartOperator();
        TestContext.Current.TestOutputHelper?.WriteLine($"MOEBIUS_TEST_SEED={Seeds.First} MOEBIUS_TEST_MUTATIONS={OfEachKind}");
        // The spec of a job cannot be changed at all.
        var seeds = Files.SkipLast(1).SelectMany(file => Manifests.ParseDocuments(File.ReadAllText(RepositoryFiles.At($"samples/{file}")), file)).ToList();
        var outcomes = await Task.WhenAll(seeds.Index().Select(async one =>
        {
            var (kind, refused) = ((string)one.Item["kind"]!, 0);
            var type = ResourceKinds.All.Single(candidate => candidate.Kind == kind);
            var path = $"{(type.Namespaced ? $"apis/moebius.dev/v1alpha1/namespaces/{shop}/{type.Plural}" : $"apis/moebius.dev/v1alpha1/{type.Plural}")}/live";
            var live = (JsonObject)one.Item.DeepClone();
            live["metadata"] = new JsonObject { ["name"] = "live" };
            await view.Api.CreateAsync(path[..path.LastIndexOf('/')], live, TestContext.Current.CancellationToken);
            foreach (var document in Mutated(one.Item).Sample(OfEachKind / 2, Seeds.Random(100 + one.Index), 50))
            {
                document["metadata"] = new JsonObject { ["name"] = "live" };
                if ((await cluster.KubectlAsync(["replace", "--validate=false", "-n", shop, "-f", "-"], document.ToJsonString())).ExitCode != 0)
                    refused++;
                await Eventually.TrueAsync(async () =>
                {
                    var last = await view.Api.GetAsync(path, TestContext.Current.CancellationToken);
                    Assert.False(running.Completion.IsCompleted, $"the operator ended over {document}");
                    return (long?)last["status"]?["observedGeneration"] == (long?)last["metadata"]!["generation"] && last["status"]?["conditions"] is JsonArray { Count: > 0 };
                });
            }

            return refused;
        }));
        Assert.InRange(outcomes.Sum(), 1, (seeds.Count * (OfEachKind / 2)) - 1);
        (await cluster.KubectlAsync("delete", "msp/live")).EnsureSuccess();
    }

    private static Gen<JsonObject> Mutated(JsonObject seed) =>
        from changes in Gen.Frequency((2, Gen.Constant(1)), (1, Gen.Choose(2, 3)))
        from picks in Gen.ListOf(Gen.Two(Gen.Choose(0, 100_000)), changes)
        from odd in Gen.ListOf(Gen.Choose(0, Odd.Length - 1), changes)
        select Mutate(seed, [.. picks], [.. odd]);

    private static JsonObject Mutate(JsonObject seed, List<(int Place, int How)> picks, List<int> odd)
    {
        var result = (JsonObject)seed.DeepClone();
        foreach (var ((place, how), value) in picks.Zip(odd))
        {
            var places = Places((JsonObject)result["spec"]!).ToList();
            if (places.Count == 0)
                break;
            var (parent, key) = places[place % places.Count];
            switch (how % 6)
            {
                case 0 or 1:
                    parent.Remove(key);
                    break;
                case 2:
                    parent[$"{key}Typo"] = parent[key]?.DeepClone();
                    break;
                case 3 when parent[key] is JsonArray { Count: > 0 } items:
                    items.Add(items[0]?.DeepClone());
                    break;
                default:
                    parent[key] = Odd[value]?.DeepClone();
                    break;
            }
        }

        return result;
    }

    private static IEnumerable<(JsonObject Parent, string Key)> Places(JsonNode? node) => node switch
    {
        JsonObject fields => fields.ToList().SelectMany(field => Places(field.Value).Prepend((fields, field.Key))),
        JsonArray items => items.SelectMany(Places),
        _ => [],
    };
}
