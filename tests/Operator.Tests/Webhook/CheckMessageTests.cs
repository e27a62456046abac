using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using k8s;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Webhook;

namespace Moebius.Operator.Tests.Webhook;

/// <summary>Every message of the webhook's checks, word for word, and that no check is left out.</summary>
public sealed partial class CheckMessageTests
{
    private const string Mounted = "model: {source: {hostPath: {path: /m}}}";
    private const string Endpoint = "languageModel: {endpoint: {url: 'http://a/v1', model: m}}";
    private const string Peers = "must have either ipBlock, or podSelector, namespaceSelector or both";

    /// <summary>What a MoEDeployment with a hostPath says besides, and the answer.</summary>
    public static TheoryData<string, string> Deployments { get; } = new()
    {
        { "resources: {limits: {memory: 1Gi}}", "spec.resources.limits.memory: 1 GiB is less than the 1.5 GiB of spec.experts.fastMemory, spec.serving.kvMemory and spec.kvCache.memory together: raise it, and leave room for the dense weights" },
        { "kvCache: {memory: 2Gi, resources: {limits: {memory: 1Gi}}}", "spec.kvCache.resources.limits.memory: 1 GiB is less than the arena of 2 GiB (spec.kvCache.memory): raise it" },
        { "serving: {port: 9400}", "spec.serving.port: 9400 is the port of the engine's metrics: choose another one, such as 8000" },
        { "serving: {port: 9401}", "spec.serving.port: 9401 is the port of the cache's metrics: choose another one, such as 8000" },
        { "serving: {kvMemory: 0}", "spec.serving.kvMemory: '0' is nothing: write a whole, positive quantity such as 512Mi" },
        { "serving: {computeType: Float16}", "spec.serving.computeType: Float16 is not supported yet: write Float32" },
        { "experts: {slowTier: HostMemory}", "spec.experts.slowTier: HostMemory is for a fast tier on a device, which this version does not have: write DirectIO or MemoryMap" },
        { "kvCache: {shared: {address: 'valkey:70000'}}", "spec.kvCache.shared.address: 'valkey:70000' is not a host and port: write one such as valkey:6379" },
        { "kvCache: {policyRef: {name: later}}", "spec.kvCache.policyRef.name: there is no KVPrivacyPolicy 'later' in namespace 'b': make it, or remove policyRef to keep everything private" },
        { "kvCache: {policyRef: {name: broken}}", "spec.kvCache.policyRef.name: KVPrivacyPolicy 'broken' is not usable: spec.classifier: publicBelowPercent must not exceed privateAbovePercent" },
        { "memorySchedulingProfileRef: {name: later}", "spec.memorySchedulingProfileRef.name: there is no MemorySchedulingProfile 'later': make it, or remove memorySchedulingProfileRef" },
        { "memorySchedulingProfileRef: {name: crowded-out}", "spec.memorySchedulingProfileRef.name: MemorySchedulingProfile 'crowded-out' has no nodes to give: spec.nodeSelector: every node that it selects belongs to the older profile 'elder': select other nodes, or delete one of the two" },
        { "memorySchedulingProfileRef: {name: elder}\n  placement: {nodeSelector: {zone: b}}", "spec.placement.nodeSelector[zone]: 'b' contradicts 'a' of MemorySchedulingProfile 'elder': no node can have both; remove one of them" },
        { "placement: {nodeSelector: {'a b': x}}", "spec.placement.nodeSelector[a b]: 'a b' is not the key of a label: write letters, digits, '-', '_' and '.', at most 63, after a domain and '/' if there is one" },
        { "placement: {nodeSelector: {a: x y}}", "spec.placement.nodeSelector[a]: 'x y' is not the value of a label: write at most 63 letters, digits, '-', '_' and '.', a letter or digit first and last" },
        { "placement: {tolerations: [{effect: NoExecute}]}", "spec.placement.tolerations[0].operator: must be Exists where no key is given: name a key, or tolerate every taint with Exists" },
        { "placement: {tolerations: [{key: a, operator: Exists, value: b}]}", "spec.placement.tolerations[0].value: 'b' has no meaning with operator Exists: remove it, or write Equal" },
        { "placement: {tolerations: [{key: a, tolerationSeconds: 5}]}", "spec.placement.tolerations[0].tolerationSeconds: 5 counts for effect NoExecute only: write that effect, or remove it" },
        { "placement: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: z, whenUnsatisfiable: DoNotSchedule}, {maxSkew: 2, topologyKey: z, whenUnsatisfiable: DoNotSchedule}]}", "spec.placement.topologySpreadConstraints[1]: topologyKey 'z' with whenUnsatisfiable DoNotSchedule is there already: use each pair once" },
        { "placement: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: z, whenUnsatisfiable: ScheduleAnyway, minDomains: 2}]}", "spec.placement.topologySpreadConstraints[0].minDomains: 2 must be 1 or more, and counts for whenUnsatisfiable DoNotSchedule only" },
        { "resources: {requests: {gpu: 1}}", "spec.resources.requests[gpu]: is no resource of containers: write cpu, memory, ephemeral-storage, hugepages-SIZE, or a name with a domain" },
        { "resources: {requests: {cpu: 2}, limits: {cpu: 1}}", "spec.resources.requests[cpu]: '2' is more than the limit of '1': write at most that, or raise the limit" },
        { "networkPolicy: {allowFrom: [{}]}", "spec.networkPolicy.allowFrom[0]: " + Peers },
        { "networkPolicy: {allowFrom: [{ipBlock: {cidr: '10.0.0.0/40'}}]}", "spec.networkPolicy.allowFrom[0].ipBlock: '10.0.0.0/40' is not a network: write one such as 10.0.0.0/8" },
        { "networkPolicy: {allowFrom: [{podSelector: {matchExpressions: [{key: a, operator: In}]}}]}", "spec.networkPolicy.allowFrom[0].podSelector.matchExpressions[0].values: must be given for In and NotIn, and only then" },
    };

    /// <summary>A pod template, and the answer.</summary>
    public static TheoryData<string, string> Templates { get; } = new()
    {
        { "{spec: {$retainKeys: [containers]}}", "spec.podTemplate.spec.$retainKeys: not a directive that is understood: use $patch: delete or $patch: replace" },
        { "{spec: {volumes: [{name: a, $patch: merge}]}}", "spec.podTemplate.spec.volumes[0].$patch: must be delete or replace, and stand in an item or object inside the template" },
        { "{spec: {hostAliases: [null]}}", "spec.podTemplate.spec.hostAliases[0]: must not be null" },
        { "{status: {}}", "spec.podTemplate.status: a pod template has metadata and spec only" },
        { "{metadata: 1}", "spec.podTemplate.metadata: must be an object with labels or annotations" },
        { "{spec: 1}", "spec.podTemplate.spec: must be an object" },
        { "{spec: null}", "spec.podTemplate.spec: must not be removed" },
        { "{metadata: {$patch: replace}}", "spec.podTemplate.metadata.$patch: labels and annotations can be added, not replaced" },
        { "{metadata: {name: x}}", "spec.podTemplate.metadata.name: only labels and annotations can be added" },
        { "{metadata: {labels: [a]}}", "spec.podTemplate.metadata.labels: must be a map of texts" },
        { "{metadata: {labels: {$patch: delete}}}", "spec.podTemplate.metadata.labels.$patch: labels can be added, not replaced" },
        { "{metadata: {labels: {app.kubernetes.io/name: x}}}", "spec.podTemplate.metadata.labels[app.kubernetes.io/name]: belongs to Moebius: choose another name" },
        { "{spec: {$patch: replace}}", "spec.podTemplate.spec.$patch: the pod cannot be replaced as a whole" },
        { "{spec: {containers: [{image: x}]}}", "spec.podTemplate.spec.containers: must be a list of objects with a name" },
        { "{spec: {volumes: [{name: arena}]}}", "spec.podTemplate.spec.volumes[arena]: belongs to Moebius: choose another name" },
        { "{spec: {containers: [{name: inference, $patch: delete}]}}", "spec.podTemplate.spec.containers[inference].$patch: the container belongs to Moebius and cannot be removed or replaced" },
        { "{spec: {containers: [{name: inference, env: {}}]}}", "spec.podTemplate.spec.containers[inference].env: must be a list of objects with a name: what Moebius sets stays" },
        { "{spec: {containers: [{name: inference, env: [{name: MOEBIUS_TENANT_SIGNATURE_KEY, value: x}]}]}}", "spec.podTemplate.spec.containers[inference].env[MOEBIUS_TENANT_SIGNATURE_KEY]: belongs to Moebius" },
        { "{spec: {containers: [{name: inference, volumeMounts: [{name: x, mountPath: /models}]}]}}", "spec.podTemplate.spec.containers[inference].volumeMounts[/models]: the path belongs to Moebius: choose another one" },
        { "{spec: {hostNetwrk: true}}", "spec.podTemplate.spec.hostNetwrk: a pod template has no such field: remove it" },
        { "{spec: {hostNetwork: 'yes'}}", "spec.podTemplate.spec.hostNetwork: 'yes' is not of the type that a pod template has there" },
        { "{spec: {serviceAccountName: x}}", "spec.podTemplate.spec.serviceAccountName: cannot be overridden: Moebius sets it" },
        { "{spec: {serviceAccount: x}}", "spec.podTemplate.spec.serviceAccount: cannot be overridden: Moebius sets it" },
        { "{spec: {restartPolicy: Never}}", "spec.podTemplate.spec.restartPolicy: cannot be overridden: pods of a Deployment always restart" },
        { "{spec: {nodeSelector: {a: b}}}", "spec.podTemplate.spec.nodeSelector: cannot be overridden: use spec.placement.nodeSelector" },
        { "{spec: {tolerations: []}}", "spec.podTemplate.spec.tolerations: cannot be overridden: use spec.placement.tolerations" },
        { "{spec: {priorityClassName: x}}", "spec.podTemplate.spec.priorityClassName: cannot be overridden: use spec.placement.priorityClassName" },
        { "{spec: {topologySpreadConstraints: []}}", "spec.podTemplate.spec.topologySpreadConstraints: cannot be overridden: use spec.placement.topologySpreadConstraints" },
        { "{spec: {imagePullSecrets: []}}", "spec.podTemplate.spec.imagePullSecrets: cannot be overridden: use spec.imagePullSecrets" },
        { "{spec: {terminationGracePeriodSeconds: 1}}", "spec.podTemplate.spec.terminationGracePeriodSeconds: cannot be overridden: use spec.serving.drainTimeout" },
        { "{spec: {ephemeralContainers: []}}", "spec.podTemplate.spec.ephemeralContainers: cannot be overridden: a template cannot have them" },
        { "{spec: {containers: [{name: inference, command: [x]}]}}", "spec.podTemplate.spec.containers[inference].command: cannot be overridden: Moebius sets it" },
        { "{spec: {containers: [{name: inference, args: [x]}]}}", "spec.podTemplate.spec.containers[inference].args: cannot be overridden: Moebius sets them; use the fields of spec" },
        { "{spec: {containers: [{name: inference, image: x}]}}", "spec.podTemplate.spec.containers[inference].image: cannot be overridden: use spec.image" },
        { "{spec: {containers: [{name: inference, imagePullPolicy: Never}]}}", "spec.podTemplate.spec.containers[inference].imagePullPolicy: cannot be overridden: use spec.imagePullPolicy" },
        { "{spec: {containers: [{name: inference, resources: {}}]}}", "spec.podTemplate.spec.containers[inference].resources: cannot be overridden: use spec.resources and spec.kvCache.resources" },
        { "{spec: {containers: [{name: inference, ports: []}]}}", "spec.podTemplate.spec.containers[inference].ports: cannot be overridden: use spec.serving.port" },
        { "{spec: {initContainers: [{name: kvcache, restartPolicy: Never}]}}", "spec.podTemplate.spec.initContainers[kvcache].restartPolicy: cannot be overridden: Moebius sets it" },
        { "{spec: {containers: [{name: inference, startupProbe: {}}]}}", "spec.podTemplate.spec.containers[inference].startupProbe: cannot be overridden: Moebius sets it" },
        { "{spec: {containers: [{name: inference, livenessProbe: {}}]}}", "spec.podTemplate.spec.containers[inference].livenessProbe: cannot be overridden: Moebius sets it" },
        { "{spec: {containers: [{name: inference, readinessProbe: {}}]}}", "spec.podTemplate.spec.containers[inference].readinessProbe: cannot be overridden: Moebius sets it" },
        { "{spec: {containers: [{name: inference, lifecycle: {}}]}}", "spec.podTemplate.spec.containers[inference].lifecycle: cannot be overridden: use spec.serving.drainTimeout" },
        { "{spec: {containers: [{name: mine, image: x, ports: [{containerPort: 9400}]}]}}", "spec.podTemplate.spec.containers[mine].ports[9400]: is the port of the engine's metrics: choose another one" },
        { "{spec: {initContainers: [{name: mine, image: x, restartPolicy: Always, ports: [{name: web, containerPort: 8000, protocol: TCP}]}]}}", "spec.podTemplate.spec.initContainers[mine].ports[8000]: is the port of the API (spec.serving.port): choose another one" },
        { "{spec: {containers: [{name: mine, image: x, ports: [{containerPort: 9401}]}]}}", "spec.podTemplate.spec.containers[mine].ports[9401]: is the port of the cache's metrics: choose another one" },
        { "{spec: {containers: [{name: mine, image: x, ports: [{name: metrics, containerPort: 9500}]}]}}", "spec.podTemplate.spec.containers[mine].ports[metrics]: by this name the port of the cache's metrics is found, in whichever container of the pod: rename it, also where the container's probes name it" },
    };

    /// <summary>Kind and spec of others, and the answer.</summary>
    public static TheoryData<string, string, string> Others { get; } = new()
    {
        { "KVPrivacyPolicy", "{rules: {custom: [{name: a, pattern: '(?<=a)b'}]}}", "spec.rules.custom[a].pattern: '(?<=a)b' is not usable: look-around, back-references and atomic groups cannot be matched in linear time: write it without them" },
        { "KVPrivacyPolicy", "{rules: {custom: [{name: a, pattern: 'b*'}]}}", "spec.rules.custom[a].pattern: 'b*' matches the empty text: every text would be private" },
        { "MoEDeployment", "{model: {source: {huggingFace: {repository: a/b}, store: {size: 1Gi, download: {proxy: {url: 'http://proxy:99999'}}}}}}", "spec.model.source.store.download.proxy.url: 'http://proxy:99999' is not a URL with a host and a port: write one such as http://proxy.example.com:3128" },
        { "MemorySchedulingProfile", "{nodeSelector: {zone: a}}", "spec.nodeSelector: every node that it selects belongs to the older profile 'elder': select other nodes, or delete one of the two" },
        { "PromptOptimizer", "{languageModel: {endpoint: {url: 'http://[::', model: m}}}", "spec.languageModel.endpoint.url: 'http://[::' is not a URL with a host: write one such as http://host:8000/v1" },
        { "PromptOptimizer", "{languageModel: {endpoint: {url: 'http://u:p@a/v1', model: m}}}", "spec.languageModel.endpoint.url: must not hold a user or password: give the key with apiKeySecretRef" },
        { "PromptOptimizer", "{languageModel: {endpoint: {url: 'http://a/v1?k=v', model: m}}}", "spec.languageModel.endpoint.url: 'http://a/v1?k=v' must not have a query or fragment: write the base URL up to and including /v1" },
        { "PromptOptimizer", $"{{{Endpoint}, scorer: {{type: Clip, clip: {{claimName: c}}}}}}", "spec.scorer.type: Clip judges images and spec.imageModel is not set: set it, or write Text" },
        { "PromptOptimizer", $"{{{Endpoint}, scorer: {{type: VisionLanguageModel, endpoint: {{url: 'http://a/v1', model: m}}}}}}", "spec.scorer.type: VisionLanguageModel judges images and spec.imageModel is not set: set it, or write Text" },
        { "PromptOptimizer", $"{{{Endpoint}, store: {{type: PostgreSQL, address: 'db:0', connectionSecretRef: {{name: s, key: k}}}}}}", "spec.store.address: 'db:0' is not a host and port: write one such as db.shop.svc:5432" },
        { "PromptOptimizer", "{languageModel: {moeDeploymentRef: {name: later}}}", "spec.languageModel.moeDeploymentRef.name: there is no MoEDeployment 'later' in namespace 'b': make it, or use spec.languageModel.endpoint" },
        { "PromptOptimizer", "{languageModel: {moeDeploymentRef: {name: broken}}}", "spec.languageModel.moeDeploymentRef.name: MoEDeployment 'broken' is not usable: spec.replicas: -1 is out of range: use a whole number from 0 to 1000" },
        { "PromptOptimizationJob", "{optimizerRef: {name: later}, prompt: x}", "spec.optimizerRef.name: there is no PromptOptimizer 'later' in namespace 'b' yet" },
    };

    /// <summary>What a server that lacks everything optional makes of a MoEDeployment.</summary>
    public static TheoryData<string, string> Lacks { get; } = new()
    {
        { "replicas: 1", "spec.networkPolicy: the server has no networking.k8s.io/v1: traffic is not restricted" },
        { "replicas: 1", "spec.disruption: a Kubernetes 1.20 server has no PodDisruptionBudget of policy/v1 (1.21 has): pods are not protected from voluntary disruptions" },
        { "kvCache: {ssd: {size: 1Gi, storageClassName: fast}}", "spec.kvCache.ssd.storageClassName: a Kubernetes 1.20 server has no generic ephemeral volumes (1.21 has): remove it to use the node's disk" },
        { "autoscaling: {maxReplicas: 3}", "spec.autoscaling: a Kubernetes 1.20 server has no HorizontalPodAutoscaler of autoscaling/v2 (1.23 has): the number of pods stays as it is" },
        { "autoscaling: {maxReplicas: 3, autoscaler: Keda, prometheusAddress: 'http://p:9090'}", "spec.autoscaling.autoscaler: the server has no ScaledObject of keda.sh/v1alpha1: install KEDA, or write HorizontalPodAutoscaler; until then the number of pods stays as it is" },
        { "integrations: {podMonitor: Required}", "spec.integrations.podMonitor: the server has no PodMonitor of monitoring.coreos.com/v1: install the Prometheus operator, or write Auto or Disabled" },
        { "integrations: {inferencePool: Required, endpointPickerRef: {name: epp}}", "spec.integrations.inferencePool: the server has no InferencePool of inference.networking.k8s.io/v1: install the Gateway API inference extension, or write Auto or Disabled" },
    };

    private const string LongName = "metadata.name: 'A' must be at most 63 lower-case letters, digits and dashes, and start with a letter: it becomes part of the names of the objects made for it";

    private const string Crowded = "spec.nodeSelector: nodes that also belong to the older profiles 'p2', 'p3' would get two agents: too many profiles overlap to keep them apart; make their selectors exclude each other";

    [Theory]
    [MemberData(nameof(Deployments))]
    public void A_MoEDeployment_is_told(string spec, string message) => AssertSaid(message, Judge("MoEDeployment", $"\n  {Mounted}\n  {spec}"));

    [Theory]
    [MemberData(nameof(Templates))]
    public void A_pod_template_is_told(string template, string message) => AssertSaid(message, Judge("MoEDeployment", $"\n  {Mounted}\n  podTemplate: {template}"));

    [Theory]
    [MemberData(nameof(Others))]
    public void Another_kind_is_told(string kind, string spec, string message) => AssertSaid(message, Judge(kind, " " + spec));

    [Theory]
    [MemberData(nameof(Lacks))]
    public void What_the_server_lacks_is_told(string spec, string message) =>
        Assert.Contains(message, Judge("MoEDeployment", $"\n  {Mounted}\n  {spec}", server: new ServerCapabilities(new Version(1, 20), ["v1", "apps/v1"])).Warnings);

    [Fact]
    public void A_name_that_children_cannot_have_is_told() => AssertSaid(LongName, Judge("MoEDeployment", $"\n  {Mounted}", name: "A"));

    [Fact]
    public void Profiles_that_overlap_beyond_what_an_affinity_can_say_are_told()
    {
        var wide = string.Join(", ", Enumerable.Range(0, 9).Select(number => $"l{number}: x"));
        AssertSaid(Crowded, Judge("MemorySchedulingProfile", " {}", profiles: [.. Enumerable.Range(1, 3).Select(number => Samples.Profile($"nodeSelector: {{{wide}}}", $"p{number}", DateTime.UnixEpoch.AddDays(number)))]));
    }

    /// <summary>The checks' own sources: a message that is made there and is not in a table above has no test.</summary>
    [Fact]
    public void No_check_is_without_its_message_here()
    {
        string[] folders = ["operator/Planning/Validation", "operator/Planning/MoEDeployments"];
        string[] files = ["operator/Planning/PromptOptimizers/PromptOptimizerPlanner.cs", "operator/Planning/Profiles/MemorySchedulingProfilePlanner.cs", "crds/Validation/EndpointUrl.cs", "crds/Validation/RuleExpression.cs", "operator/Webhook/AdmissionCheck.cs"];
        var told = Deployments.Concat(Templates).Concat(Lacks).Select(row => row.Data.Item2).Concat(Others.Select(row => row.Data.Item3)).Append(LongName).Append(Crowded).ToList();
        var checks = folders.SelectMany(folder => Directory.GetFiles(RepositoryFiles.At(folder), "*.cs")).Concat(files.Select(RepositoryFiles.At))
            .SelectMany(file => File.ReadLines(file).Where(line => !line.TrimStart().StartsWith("//", StringComparison.Ordinal)))
            .SelectMany(line => Made().Matches(line).Select(match => match.Groups["text"].Value))
            .Concat(File.ReadLines(RepositoryFiles.At("operator/Planning/MoEDeployments/PodTemplateOverride.cs")).SelectMany(line => Remedy().Matches(line)).Select(match => $"{{}}.{match.Groups["field"].Value}: cannot be overridden: {match.Groups["remedy"].Value}"))
            .ToHashSet();
        // What became of a download is no check of a spec.
        Assert.True(checks.Remove("spec.model.source: the download has failed: {preparation.Message}: correct what it names; delete the Job to try the same source again"));
        Assert.InRange(checks.Count, 60, 200);
        Assert.Equal([], checks.Where(check => !told.Exists(message => Regex.IsMatch(message, "^" + string.Join(".*", Hole().Split(check).Select(Regex.Escape)) + "$", RegexOptions.Singleline))));
    }

    // A message names its field first.
    [GeneratedRegex("""(?:^|[\s(])\$?"(?<text>(?:\{[a-zA-Z]+\}|spec[.:]|metadata\.)(?:[^"{\\]|\{(?:[^{}"]|"[^"]*"|\{[^}]*\})*\}|\\.)*: (?:[^"{\\]|\{(?:[^{}"]|"[^"]*"|\{[^}]*\})*\}|\\.)*)["]""", RegexOptions.CultureInvariant)]
    private static partial Regex Made();

    [GeneratedRegex("""^\s+\["(?<field>\w+)"\] = "(?<remedy>[^"]+)",""", RegexOptions.CultureInvariant)]
    private static partial Regex Remedy();

    [GeneratedRegex("""\{(?:[^{}"]|"[^"]*"|\{[^}]*\})*\}""", RegexOptions.CultureInvariant)]
    private static partial Regex Hole();

    private static void AssertSaid(string message, AdmissionVerdict verdict) => Assert.Equal([message], verdict.Errors.Concat(verdict.Warnings));

    private static AdmissionVerdict Judge(string kind, string spec, string name = "a", ServerCapabilities? server = null, IReadOnlyList<MemorySchedulingProfile>? profiles = null) => AdmissionCheck.Judge(
        (JsonObject)Manifests.ParseDocuments($"apiVersion: moebius.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}, namespace: b}}\nspec:{spec}\n", "m")[0],
        null,
        OperatorSettings.Default,
        new View(server ?? ServerCapabilities.Latest, profiles ?? [Elder]));

    private static MemorySchedulingProfile Elder { get; } = Samples.Profile("nodeSelector: {zone: a}", "elder", DateTime.UnixEpoch);

    /// <summary>A cluster with two profiles, one policy and one MoEDeployment, of which only the first is usable.</summary>
    private sealed class View(ServerCapabilities server, IReadOnlyList<MemorySchedulingProfile> profiles) : IAdmissionView
    {
        public ServerCapabilities Server => server;

        public IReadOnlyList<MemorySchedulingProfile> Profiles => profiles;

        public T? Find<T>(string? @namespace, string name)
            where T : class, IKubernetesObject<V1ObjectMeta> => name switch
            {
                "elder" => Elder as T,
                "crowded-out" => Samples.Profile("nodeSelector: {zone: a, floor: first}", name, DateTime.UnixEpoch.AddDays(1)) as T,
                "broken" when typeof(T) == typeof(KVPrivacyPolicy) => Samples.Policy("classifier: {publicBelowPercent: 71}", "broken") as T,
                "broken" => Samples.MoE("replicas: -1", "broken") as T,
                _ => null,
            };
    }
}
