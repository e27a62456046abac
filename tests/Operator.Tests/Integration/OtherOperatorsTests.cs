using System.Text.Json.Nodes;
using k8s.Models;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Integration;

/// <summary>Objects that others act on: autoscalers, monitors, pools.</summary>
[Collection(ClusterTests.Name)]
[Trait("Category", "Cluster")]
public sealed class OtherOperatorsTests(OperatorCluster cluster)
{
    private const string PodMonitors = """
        apiVersion: apiextensions.k8s.io/v1
        kind: CustomResourceDefinition
        metadata: {name: podmonitors.monitoring.coreos.com}
        spec:
          group: monitoring.coreos.com
          names: {kind: PodMonitor, listKind: PodMonitorList, plural: podmonitors, singular: podmonitor}
          scope: Namespaced
          versions:
          - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
        """;

    [Fact]
    public async Task The_planned_autoscaler_is_taken_whole_by_the_API_server()
    {
        var shop = await cluster.NamespaceAsync("horizontal");
        var planned = WireJson.ToNode(MoEDeploymentPlanner.Plan(Samples.MoE("autoscaling: {minReplicas: 2, maxReplicas: 5}"), MoEReferences.None, OperatorSettings.Default, ServerCapabilities.Latest).Child<V2HorizontalPodAutoscaler>());
        planned["metadata"] = new JsonObject { ["name"] = "austen", ["namespace"] = shop };
        // Before 1.23 the same fields had another version's name.
        if (cluster.Assets.ServerVersion < new Version(1, 23))
            planned["apiVersion"] = "autoscaling/v2beta2";
        var created = await cluster.KubectlAsync(["create", "--validate=false", "-o", "json", "-f", "-"], planned.ToJsonString());
        created.EnsureSuccess();
        Assert.Null(Drift.Find(planned, (JsonObject)JsonNode.Parse(created.StandardOutput)!));
    }

    [Fact]
    public async Task Objects_of_other_operators_follow_their_definitions_as_these_come_and_go()
    {
        var shop = await cluster.NamespaceAsync("monitored");
        await using var running = cluster.StartOperator(shop, configure: options => options with { DiscoveryInterval = TimeSpan.FromSeconds(1) });
        await cluster.ApplyAsync(FeatureTests.Deployment("{model: {source: {hostPath: {path: /m}}}, integrations: {podMonitor: Required}}"), "-n", shop);
        await Eventually.TrueAsync(async () => (await cluster.ConditionAsync(shop, "moe/austen", "Degraded", "message")).Contains("spec.integrations.podMonitor: the server has no PodMonitor", StringComparison.Ordinal));

        await DefineAsync(PodMonitors);
        await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "podmonitors.monitoring.coreos.com/austen", ".metadata.name"));
        await Eventually.TrueAsync(async () => !(await cluster.ConditionAsync(shop, "moe/austen", "Degraded", "message")).Contains("podMonitor", StringComparison.Ordinal));
        (await cluster.KubectlAsync("delete", "-n", shop, "podmonitors.monitoring.coreos.com/austen")).EnsureSuccess();
        await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "podmonitors.monitoring.coreos.com/austen", ".metadata.name"));

        await cluster.RemoveCrdAsync("podmonitors", "v1", "monitoring.coreos.com");
        await Eventually.TrueAsync(async () => (await cluster.ConditionAsync(shop, "moe/austen", "Degraded", "message")).Contains("podMonitor", StringComparison.Ordinal));
        Assert.False(running.Completion.IsCompleted);
    }

    [Fact]
    public async Task Autoscaler_and_pool_of_other_operators_keep_to_the_schema_of_their_definitions()
    {
        // The fields that these kinds have, and no others: a field that is not there is dropped, and would be missed.
        const string Scaled = """
            apiVersion: apiextensions.k8s.io/v1
            kind: CustomResourceDefinition
            metadata: {name: scaledobjects.keda.sh}
            spec:
              group: keda.sh
              names: {kind: ScaledObject, listKind: ScaledObjectList, plural: scaledobjects, singular: scaledobject}
              scope: Namespaced
              versions:
              - name: v1alpha1
                served: true
                storage: true
                schema:
                  openAPIV3Schema:
                    type: object
                    required: [spec]
                    properties:
                      spec:
                        type: object
                        required: [scaleTargetRef, triggers]
                        properties:
                          scaleTargetRef: {type: object, required: [name], properties: {apiVersion: {type: string}, kind: {type: string}, name: {type: string}}}
                          pollingInterval: {type: integer, format: int32}
                          cooldownPeriod: {type: integer, format: int32}
                          minReplicaCount: {type: integer, format: int32}
                          maxReplicaCount: {type: integer, format: int32}
                          triggers:
                            type: array
                            items: {type: object, required: [type, metadata], properties: {type: {type: string}, name: {type: string}, metricType: {type: string}, metadata: {type: object, additionalProperties: {type: string}}}}
            """;
        const string Pool = """
            apiVersion: apiextensions.k8s.io/v1
            kind: CustomResourceDefinition
            metadata: {name: inferencepools.inference.networking.k8s.io, annotations: {api-approved.kubernetes.io: "unapproved, for a test"}}
            spec:
              group: inference.networking.k8s.io
              names: {kind: InferencePool, listKind: InferencePoolList, plural: inferencepools, singular: inferencepool}
              scope: Namespaced
              versions:
              - name: v1
                served: true
                storage: true
                schema:
                  openAPIV3Schema:
                    type: object
                    required: [spec]
                    properties:
                      spec:
                        type: object
                        required: [endpointPickerRef, selector, targetPorts]
                        properties:
                          selector: {type: object, required: [matchLabels], properties: {matchLabels: {type: object, additionalProperties: {type: string}}}}
                          targetPorts: {type: array, minItems: 1, items: {type: object, required: [number], properties: {number: {type: integer, minimum: 1, maximum: 65535}}}}
                          endpointPickerRef: {type: object, required: [name], properties: {group: {type: string}, kind: {type: string, default: Service}, name: {type: string}, failureMode: {type: string, default: FailClose}, port: {type: object, required: [number], properties: {number: {type: integer}}}}}
            """;
        var shop = await cluster.NamespaceAsync("pooled");
        await using var running = cluster.StartOperator(shop, configure: options => options with { DiscoveryInterval = TimeSpan.FromSeconds(1) });
        await cluster.ApplyAsync(FeatureTests.Deployment("{model: {source: {hostPath: {path: /m}}}, autoscaling: {minReplicas: 2, maxReplicas: 5, autoscaler: Keda, prometheusAddress: 'http://prometheus.monitoring:9090'}, integrations: {inferencePool: Required, endpointPickerRef: {name: picker, port: 9002}}}"), "-n", shop);
        await Eventually.TrueAsync(async () => (await cluster.ConditionAsync(shop, "moe/austen", "Degraded", "message")).Contains("ScaledObject", StringComparison.Ordinal));
        await DefineAsync(Scaled);
        await DefineAsync(Pool);
        try
        {
            await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "scaledobjects.keda.sh/austen", ".spec.scaleTargetRef.name"));
            await Eventually.EqualAsync("picker 9002 8000", () => cluster.GetAsync(shop, "inferencepools.inference.networking.k8s.io/austen", ".spec.endpointPickerRef.name} {.spec.endpointPickerRef.port.number} {.spec.targetPorts[0].number"));
            Assert.Equal("2 5 http://prometheus.monitoring:9090", await cluster.GetAsync(shop, "scaledobjects.keda.sh/austen", ".spec.minReplicaCount} {.spec.maxReplicaCount} {.spec.triggers[1].metadata.serverAddress"));
            await Eventually.TrueAsync(async () => await cluster.ConditionAsync(shop, "moe/austen", "Degraded", "message") is var message && !message.Contains("ScaledObject", StringComparison.Ordinal) && !message.Contains("inferencePool", StringComparison.Ordinal));

            // Nothing was dropped: what is asked for is there, and nobody asks again when the children are looked at for another reason.
            var mark = await cluster.Audit.MarkAsync(TestContext.Current.CancellationToken);
            (await cluster.KubectlAsync("patch", "-n", shop, "moe/austen", "--type=merge", "-p", """{"spec":{"image":"other:1"}}""")).EnsureSuccess();
            await Eventually.EqualAsync("other:1", () => cluster.GetAsync(shop, "deployment/austen", ".spec.template.spec.containers[?(@.name=='inference')].image"));
            await Eventually.EqualAsync("2", () => cluster.GetAsync(shop, "moe/austen", ".status.observedGeneration"));
            Assert.DoesNotContain(await cluster.Audit.WritesSinceAsync(mark, "moebius-operator", TestContext.Current.CancellationToken), write => write.Namespace == shop && write.Resource is "scaledobjects" or "inferencepools");
        }
        finally
        {
            await cluster.RemoveCrdAsync("scaledobjects", "v1alpha1", "keda.sh");
            await cluster.RemoveCrdAsync("inferencepools", "v1", "inference.networking.k8s.io");
        }

        await Eventually.TrueAsync(async () => (await cluster.ConditionAsync(shop, "moe/austen", "Degraded", "message")).Contains("ScaledObject", StringComparison.Ordinal));
        Assert.False(running.Completion.IsCompleted);
    }

    [Fact]
    public async Task A_new_leader_plans_with_what_the_server_can_do_now()
    {
        var shop = await cluster.NamespaceAsync("succeeded");
        var campaign = new CampaignHandler();
        // Neither looks again by itself during the test.
        var first = cluster.StartOperator(shop, "first", leaderElect: true, configure: options => options with { DiscoveryInterval = TimeSpan.FromHours(1) });
        await Eventually.EqualAsync("first", () => cluster.GetAsync("moebius-system", $"lease/moebius-operator-{shop}", ".spec.holderIdentity"));
        await using var second = cluster.StartOperator(shop, "second", leaderElect: true, configure: options => options with { DiscoveryInterval = TimeSpan.FromHours(1), ApiHandlers = () => [campaign] });
        await Eventually.TrueAsync(() => campaign.HasBegun);
        await cluster.ApplyAsync(FeatureTests.Deployment("{model: {source: {hostPath: {path: /m}}}, integrations: {podMonitor: Required}}"), "-n", shop);
        await Eventually.TrueAsync(async () => (await cluster.ConditionAsync(shop, "moe/austen", "Degraded", "message")).Contains("podMonitor", StringComparison.Ordinal));
        await DefineAsync(PodMonitors);
        try
        {
            await first.DisposeAsync();
            await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "podmonitors.monitoring.coreos.com/austen", ".metadata.name"));
        }
        finally
        {
            await cluster.RemoveCrdAsync("podmonitors", "v1", "monitoring.coreos.com");
        }
    }

    /// <summary>Two releases of which one has a PodMonitor for all, for as long as both run.</summary>
    [Fact]
    public async Task What_one_makes_and_the_other_removes_is_made_less_and_less_often()
    {
        var shop = await cluster.NamespaceAsync("leaders-prune");
        await DefineAsync(PodMonitors);
        try
        {
            await using var first = cluster.StartOperator(shop, "first");
            await using var second = cluster.StartOperator(shop, "second", configure: options => options with { Settings = options.Settings with { SharedPodMonitor = true } });
            await cluster.ApplyAsync(FeatureTests.Deployment("{model: {source: {hostPath: {path: /m}}}}"), "-n", shop);
            await Eventually.TrueAsync(async () => (await cluster.ConditionAsync(shop, "moe/austen", "Degraded", "message")).Contains("PodMonitor 'austen' is removed by somebody each time that it is made", StringComparison.Ordinal));
            var mark = await cluster.Audit.MarkAsync(TestContext.Current.CancellationToken);
            await Task.Delay(TimeSpan.FromSeconds(15), TestContext.Current.CancellationToken);
            // It was several a second.
            Assert.InRange((await cluster.Audit.WritesSinceAsync(mark, "moebius-operator", TestContext.Current.CancellationToken)).Count(write => write.Namespace == shop && write.Resource == "podmonitors"), 0, 16);
        }
        finally
        {
            await cluster.RemoveCrdAsync("podmonitors", "v1", "monitoring.coreos.com");
        }
    }

    private async Task DefineAsync(string definition)
    {
        var file = Path.Combine(Path.GetTempPath(), $"moebius-definition-{Guid.NewGuid():N}.yaml");
        try
        {
            await File.WriteAllTextAsync(file, definition, TestContext.Current.CancellationToken);
            await cluster.InstallCrdsAsync(file);
        }
        finally
        {
            File.Delete(file);
        }
    }

    /// <summary>Sees when an operator asks for the Lease, which it does when it knows the server.</summary>
    private sealed class CampaignHandler : DelegatingHandler
    {
        private volatile bool _hasBegun;

        public bool HasBegun => _hasBegun;

        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            _hasBegun |= request.RequestUri!.AbsolutePath.Contains("/leases/", StringComparison.Ordinal);
            return base.SendAsync(request, cancellationToken);
        }
    }
}
