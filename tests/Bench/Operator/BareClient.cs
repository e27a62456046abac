using System.Text;
using System.Text.Json.Nodes;
using k8s;

namespace Moebius.Bench.Operator;

/// <summary>Requests to an API server and nothing else.</summary>
internal sealed class BareClient(KubernetesClientConfiguration configuration, int atOnce) : IDisposable
{
    private readonly Kubernetes _kubernetes = new(configuration);

    public void Dispose() => _kubernetes.Dispose();

    public Task ForEachAsync<T>(IEnumerable<T> items, Func<T, Task> action) =>
        Parallel.ForEachAsync(items, new ParallelOptions { MaxDegreeOfParallelism = atOnce }, async (item, _) => await action(item));

    public async Task CreateAsync(string collection, JsonObject body)
    {
        using var content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json");
        using var response = await _kubernetes.HttpClient.PostAsync(new Uri(_kubernetes.BaseUri, collection), content);
        response.EnsureSuccessStatusCode();
        await response.Content.ReadAsByteArrayAsync();
    }

    public async Task MergeAsync(string path, JsonObject patch)
    {
        using var content = new StringContent(patch.ToJsonString(), Encoding.UTF8, "application/merge-patch+json");
        using var response = await _kubernetes.HttpClient.PatchAsync(new Uri(_kubernetes.BaseUri, path), content);
        response.EnsureSuccessStatusCode();
        await response.Content.ReadAsByteArrayAsync();
    }

    public async Task DeleteAllAsync(string collection)
    {
        using var response = await _kubernetes.HttpClient.DeleteAsync(new Uri(_kubernetes.BaseUri, collection));
        response.EnsureSuccessStatusCode();
        await response.Content.ReadAsByteArrayAsync();
    }

    public async Task<long> CountAsync(string collection)
    {
        var list = JsonNode.Parse(await _kubernetes.HttpClient.GetStringAsync(new Uri(_kubernetes.BaseUri, collection + "?limit=1")))!;
        return ((JsonArray)list["items"]!).Count + ((long?)list["metadata"]!["remainingItemCount"] ?? 0);
    }

    /// <summary>Waits until every MoEDeployment has a status of its generation.</summary>
    public async Task SettledAsync(string @namespace, int count)
    {
        while (true)
        {
            var list = JsonNode.Parse(await _kubernetes.HttpClient.GetStringAsync(new Uri(_kubernetes.BaseUri, $"apis/moebius.dev/v1alpha1/namespaces/{@namespace}/moedeployments")))!;
            if (((JsonArray)list["items"]!).Count(item => (long?)item!["status"]?["observedGeneration"] == (long?)item["metadata"]!["generation"]) == count)
                return;
            await Task.Delay(500);
        }
    }
}
