using System.Text;
using k8s.Models;
using Moebius.Cli.Local;
using Moebius.Crds;

namespace Moebius.Cli.Tests;

public sealed class LocalPlannerTests
{
    private static LocalPlanner Planner(Func<int, bool>? isFree = null) =>
        new("/state", "/memory", isFree ?? (_ => true), path => path.Replace("/node", "/here", StringComparison.Ordinal));

    private static V1Container Container(string name, params string[] args) => new()
    {
        Name = name,
        Command = ["moebius"],
        Args = args,
        Ports = [new V1ContainerPort { Name = "http", ContainerPort = 8000 }],
        VolumeMounts =
        [
            new V1VolumeMount { Name = "run", MountPath = "/run/moebius" },
            new V1VolumeMount { Name = "arena", MountPath = "/run/moebius/arena" },
            new V1VolumeMount { Name = "config", MountPath = "/etc/moebius" },
            new V1VolumeMount { Name = "model", MountPath = "/models", SubPath = "austen" },
        ],
    };

    private static V1PodTemplateSpec Template(params V1Container[] containers) => new()
    {
        Metadata = new V1ObjectMeta { Labels = new Dictionary<string, string> { ["app"] = "a" } },
        Spec = new V1PodSpec
        {
            Containers = containers,
            Volumes =
            [
                new V1Volume { Name = "run", EmptyDir = new V1EmptyDirVolumeSource() },
                new V1Volume { Name = "arena", EmptyDir = new V1EmptyDirVolumeSource { Medium = "Memory" } },
                new V1Volume { Name = "config", ConfigMap = new V1ConfigMapVolumeSource { Name = "a-config" } },
                new V1Volume { Name = "model", HostPath = new V1HostPathVolumeSource { Path = "/node/models" } },
            ],
        },
    };

    private static LocalObjects Objects(V1PodTemplateSpec template, string config = "x: 1", V1Secret? secret = null) => new(
        [("a", "default", template)],
        new Dictionary<string, V1ConfigMap> { ["a-config"] = new() { Data = new Dictionary<string, string> { ["c.yaml"] = config } } },
        secret is null ? new Dictionary<string, V1Secret>() : new Dictionary<string, V1Secret> { ["s"] = secret },
        [
            new V1Service
            {
                Metadata = new V1ObjectMeta { Name = "svc", NamespaceProperty = "default" },
                Spec = new V1ServiceSpec
                {
                    Selector = new Dictionary<string, string> { ["app"] = "a" },
                    Ports = [new V1ServicePort { Port = 80, TargetPort = "http" }],
                },
            },
        ]);

    [Fact]
    public void An_object_that_stands_twice_is_refused()
    {
        var file = Path.GetTempFileName();
        var manifest = "apiVersion: moebius.dev/v1alpha1\nkind: MoEDeployment\nmetadata: {name: a}\nspec: {model: {source: {hostPath: {path: /x}}}}\n";
        File.WriteAllText(file, $"{manifest}---\n{manifest.Replace("name: a", "name: b", StringComparison.Ordinal)}");
        Assert.Equal(2, PlannedManifests.Load([file]).Objects.Workloads.Count);
        File.AppendAllText(file, $"---\n{manifest}");
        Assert.Equal($"{file}: MoEDeployment/a stands there twice: keep one of them", Assert.Throws<UserInputException>(() => PlannedManifests.Load([file])).Message);
        File.Delete(file);
    }

    [Fact]
    public void Two_resources_that_make_the_same_object_are_refused()
    {
        var file = Path.GetTempFileName();
        File.WriteAllText(file, """
            {apiVersion: moebius.dev/v1alpha1, kind: MoEDeployment, metadata: {name: a-optimizer}, spec: {model: {source: {hostPath: {path: /x}}}}}
            ---
            {apiVersion: moebius.dev/v1alpha1, kind: PromptOptimizer, metadata: {name: a}, spec: {languageModel: {moeDeploymentRef: {name: a-optimizer}}}}
            """);
        Assert.Equal(
            $"{file}: ServiceAccount/a-optimizer would be made for MoEDeployment/a-optimizer and for PromptOptimizer/a: rename one of them",
            Assert.Throws<UserInputException>(() => PlannedManifests.Load([file])).Message);
        File.Delete(file);
    }

    [Fact]
    public void A_host_path_is_looked_for_below_the_longest_directory_that_is_given() =>
        Assert.Equal("/there/b/c", HostPathMap.Parse(["/a=/here", "/a/b=/there/b"]).Resolve("/a/b/c"));

    [Fact]
    public void A_host_path_has_one_directory() =>
        Assert.Equal("--host-path: '/x' is given 2 times: give it one directory", Assert.Throws<UserInputException>(() => HostPathMap.Parse(["/x=/tmp", "/x/=/etc"])).Message);

    [Fact]
    public void Mount_paths_become_directories_longest_first_and_only_as_whole_paths()
    {
        var plan = Planner().Plan(Objects(Template(Container("c", "serve", "--socket=/run/moebius/kv.sock", "--arena", "/run/moebius/arena/kv", "--model=/models/m", "--note=/modelsx"))));
        Assert.Equal(
            ["serve", "--socket=/state/pods/a/volumes/run/kv.sock", "--arena", "/memory/a/arena/kv", "--model=/here/models/austen/m", "--note=/modelsx"],
            plan.Pods[0].Containers[0].Arguments);
    }

    [Fact]
    public void A_port_in_use_is_replaced_and_said()
    {
        var plan = Planner(port => port != 8000).Plan(Objects(Template(Container("c", "--listen=0.0.0.0:8000"))));
        Assert.Equal("--listen=127.0.0.1:8001", plan.Pods[0].Containers[0].Arguments[0]);
        Assert.Equal(8001, plan.Pods[0].Containers[0].Ports["http"]);
        Assert.Contains("port 8000 is in use, listening on 8001", Assert.Single(plan.Notes), StringComparison.Ordinal);
    }

    [Fact]
    public void A_service_name_becomes_a_loopback_address_in_configuration_and_arguments()
    {
        var plan = Planner().Plan(Objects(Template(Container("c", "--url=http://svc.default.svc:80/v1", "--other=http://svc.default.svc:8080/v1")), "url: http://svc.default.svc.cluster.local:80/v1"));
        Assert.Equal("--url=http://127.0.0.1:8000/v1", plan.Pods[0].Containers[0].Arguments[0]);
        Assert.Equal("--other=http://svc.default.svc:8080/v1", plan.Pods[0].Containers[0].Arguments[1]);
        Assert.Equal("url: http://127.0.0.1:8000/v1", Encoding.UTF8.GetString(plan.Pods[0].Volumes.Single(volume => volume.Name == "config").Files["c.yaml"]));
    }

    [Fact]
    public void A_mounted_secret_has_the_bytes_and_the_file_name_that_the_volume_gives_it()
    {
        byte[] key = [0xFF, 0xFE, 0x00, 0x80];
        var template = Template(Container("c"));
        template.Spec.Volumes[0] = new V1Volume { Name = "run", Secret = new V1SecretVolumeSource { SecretName = "s", Items = [new V1KeyToPath { Key = "master", Path = "key" }] } };
        var secret = new V1Secret { Data = new Dictionary<string, byte[]> { ["master"] = key, ["other"] = [1] } };
        var (name, bytes) = Assert.Single(Planner().Plan(Objects(template, secret: secret)).Pods[0].Volumes[0].Files);
        Assert.Equal("key", name);
        Assert.Equal(key, bytes);

        secret.Data.Remove("master");
        Assert.Equal("a: Secret 's' has no key 'master': add it", Assert.Throws<UserInputException>(() => Planner().Plan(Objects(template, secret: secret))).Message);
        template.Spec.Volumes[0].Secret.Optional = true;
        Assert.Empty(Planner().Plan(Objects(template, secret: secret)).Pods[0].Volumes[0].Files);
    }

    [Theory]
    [InlineData("../../up")]
    [InlineData("/etc/up")]
    [InlineData("a//up")]
    public void A_file_that_would_lie_outside_its_volume_is_refused(string name)
    {
        var template = Template(Container("c"));
        template.Spec.Volumes[0] = new V1Volume { Name = "run", Secret = new V1SecretVolumeSource { SecretName = "s" } };
        var secret = new V1Secret { StringData = new Dictionary<string, string> { [name] = "x" } };
        Assert.Equal($"a: Secret 's': '{name}' is no name of a file in a volume", Assert.Throws<UserInputException>(() => Planner().Plan(Objects(template, secret: secret))).Message);
    }

    [Fact]
    public void Secrets_come_from_the_same_file_or_are_asked_for()
    {
        var container = Container("c");
        container.Env = [new V1EnvVar { Name = "KEY", ValueFrom = new V1EnvVarSource { SecretKeyRef = new V1SecretKeySelector { Name = "s", Key = "k" } } }];
        var secret = new V1Secret { StringData = new Dictionary<string, string> { ["k"] = "v" } };
        Assert.Equal("v", Planner().Plan(Objects(Template(container), secret: secret)).Pods[0].Containers[0].Environment["KEY"]);
        var error = Assert.Throws<UserInputException>(() => Planner().Plan(Objects(Template(container))));
        Assert.Contains("Secret 's' with key 'k'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_resource_limit_that_is_not_enforced_has_no_value()
    {
        var container = Container("serve");
        container.Env = [new V1EnvVar { Name = "LIMIT", ValueFrom = new V1EnvVarSource { ResourceFieldRef = new V1ResourceFieldSelector { Resource = "limits.memory" } } }];
        Assert.DoesNotContain("LIMIT", Planner().Plan(Objects(Template(container))).Pods[0].Containers[0].Environment.Keys);
    }

    /// <summary>Else the node agent would ask whatever cluster the user's kubeconfig names for the pods of this machine.</summary>
    [Fact]
    public void Here_is_no_node_of_a_cluster()
    {
        var container = Container("cxl", "agent");
        container.Env = [new V1EnvVar { Name = "NODE_NAME", ValueFrom = new V1EnvVarSource { FieldRef = new V1ObjectFieldSelector { FieldPath = "spec.nodeName" } } }];
        Assert.Empty(Planner().Plan(Objects(Template(container))).Pods[0].Containers[0].Environment);
    }

    [Fact]
    public void Native_sidecars_run_on_and_other_init_containers_run_to_completion()
    {
        var template = Template(Container("main"));
        var sidecar = Container("sidecar");
        sidecar.RestartPolicy = "Always";
        sidecar.Ports = null;
        var init = Container("init");
        init.Ports = null;
        template.Spec.InitContainers = [init, sidecar];
        var containers = Planner().Plan(Objects(template)).Pods[0].Containers;
        Assert.Equal([("init", true), ("sidecar", false), ("main", false)], containers.Select(container => (container.Name, container.RunsToCompletion)));
    }

    [Fact]
    public void What_needs_a_cluster_is_refused_by_name()
    {
        var volume = Template(Container("c"));
        volume.Spec.Volumes[0] = new V1Volume { Name = "run", Csi = new V1CSIVolumeSource { Driver = "d" } };
        Assert.Contains("volume 'run'", Assert.Throws<UserInputException>(() => Planner().Plan(Objects(volume))).Message, StringComparison.Ordinal);

        var program = Container("c");
        program.Command = ["nginx"];
        Assert.Contains("'nginx' cannot run locally", Assert.Throws<UserInputException>(() => Planner().Plan(Objects(Template(program)))).Message, StringComparison.Ordinal);
    }
}
