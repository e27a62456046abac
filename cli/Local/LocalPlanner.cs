using System.Text;
using System.Text.RegularExpressions;
using k8s.Models;
using Moebius.Crds;

namespace Moebius.Cli.Local;

/// <summary>
/// Turns planned Kubernetes objects into processes: volumes become directories, mount paths in arguments and
/// environment become those directories, container ports become loopback ports, Service names become loopback URLs.
/// Pure but for the answers of <paramref name="isFree"/>, <paramref name="resolveHostPath"/>.
/// </summary>
/// <param name="stateDirectory">Where volumes are made.</param>
/// <param name="memoryDirectory">Where volumes of medium Memory are made.</param>
/// <param name="isFree">Whether a loopback port can be bound.</param>
/// <param name="resolveHostPath">The local directory for a hostPath, and whether it must exist.</param>
internal sealed class LocalPlanner(
    string stateDirectory,
    string memoryDirectory,
    Func<int, bool> isFree,
    Func<string, string> resolveHostPath)
{
    private const string AnyAddress = "0.0.0.0";
    private const string Loopback = "127.0.0.1";

    private readonly HashSet<int> _taken = [];
    private readonly List<string> _notes = [];

    public LocalPlan Plan(LocalObjects objects)
    {
        var ports = objects.Workloads.ToDictionary(workload => workload.Name, workload => AssignPorts(workload.Name, workload.Template.Spec));
        var services = ServiceAddresses(objects, ports).ToList();
        var pods = objects.Workloads.Select(workload => Pod(workload.Name, workload.Namespace, workload.Template, ports[workload.Name], services, objects)).ToList();
        return new LocalPlan(pods, _notes);
    }

    private Dictionary<int, int> AssignPorts(string workload, V1PodSpec pod)
    {
        var result = new Dictionary<int, int>();
        foreach (var container in Containers(pod))
        {
            foreach (var port in container.Ports ?? [])
            {
                var wanted = port.ContainerPort;
                var local = wanted;
                while (!_taken.Add(local) || !isFree(local))
                    local = local < 65535 ? local + 1 : 20000;
                if (local != wanted)
                    _notes.Add($"{workload}/{container.Name}: port {wanted} is in use, listening on {local} instead");
                result[wanted] = local;
            }
        }

        return result;
    }

    private static IEnumerable<(string From, string To)> ServiceAddresses(LocalObjects objects, Dictionary<string, Dictionary<int, int>> ports)
    {
        foreach (var service in objects.Services)
        {
            var target = objects.Workloads.FirstOrDefault(workload => Selects(service.Spec.Selector, workload.Template.Metadata?.Labels));
            if (target.Template is null)
                continue;
            foreach (var port in service.Spec.Ports ?? [])
            {
                var containerPort = port.TargetPort?.Value is { } text && !int.TryParse(text, out _)
                    ? Containers(target.Template.Spec).SelectMany(container => container.Ports ?? []).FirstOrDefault(candidate => candidate.Name == text)?.ContainerPort
                    : int.TryParse(port.TargetPort?.Value, out var number) ? number : port.Port;
                if (containerPort is not { } known || !ports[target.Name].TryGetValue(known, out var local))
                    continue;
                var name = $"{service.Metadata.Name}.{service.Metadata.NamespaceProperty ?? "default"}.svc";
                yield return ($"http://{name}.cluster.local:{port.Port}", $"http://{Loopback}:{local}");
                yield return ($"http://{name}:{port.Port}", $"http://{Loopback}:{local}");
            }
        }
    }

    private LocalPod Pod(
        string name,
        string @namespace,
        V1PodTemplateSpec template,
        Dictionary<int, int> ports,
        List<(string From, string To)> services,
        LocalObjects objects)
    {
        var spec = template.Spec;
        var volumes = (spec.Volumes ?? []).ToDictionary(volume => volume.Name, volume => Volume(name, volume, services, objects));
        var containers = new List<LocalContainer>();
        foreach (var container in Containers(spec))
        {
            var isInit = spec.InitContainers?.Contains(container) == true;
            containers.Add(Container(name, @namespace, container, volumes, ports, services, objects) with
            {
                RunsToCompletion = isInit && container.RestartPolicy != "Always",
            });
        }

        return new LocalPod(name, [.. volumes.Values], containers)
        {
            GracePeriod = TimeSpan.FromSeconds(spec.TerminationGracePeriodSeconds ?? 30),
        };
    }

    private LocalVolume Volume(string pod, V1Volume volume, List<(string From, string To)> services, LocalObjects objects)
    {
        var directory = Path.Combine(stateDirectory, "pods", pod, "volumes", volume.Name);
        var none = new Dictionary<string, byte[]>();
        if (volume.EmptyDir is { } empty)
            return new LocalVolume(volume.Name, empty.Medium == "Memory" ? Path.Combine(memoryDirectory, pod, volume.Name) : directory, true, none);
        if (volume.PersistentVolumeClaim is not null)
            return new LocalVolume(volume.Name, directory, true, none);
        if (volume.HostPath is { } host)
        {
            // What a kubelet would make is the pod's own here, so that nothing is left of it.
            var resolved = resolveHostPath(host.Path);
            return host.Type == "DirectoryOrCreate" && resolved == host.Path
                ? new LocalVolume(volume.Name, directory, true, none)
                : new LocalVolume(volume.Name, resolved, false, none);
        }

        if (volume.ConfigMap is { } reference)
        {
            if (!objects.ConfigMaps.TryGetValue(reference.Name, out var map) && reference.Optional != true)
                throw new UserInputException($"{pod}: ConfigMap '{reference.Name}' is not among the planned objects: add it to the file");
            var content = (map?.Data ?? new Dictionary<string, string>()).ToDictionary(entry => entry.Key, entry => Encoding.UTF8.GetBytes(Replace(entry.Value, services)));
            foreach (var (key, bytes) in map?.BinaryData ?? new Dictionary<string, byte[]>())
                content[key] = bytes;
            return new LocalVolume(volume.Name, directory, true, Files($"{pod}: ConfigMap '{reference.Name}'", content, reference.Items, reference.Optional == true));
        }

        if (volume.Secret is { } secret)
        {
            if (!objects.Secrets.TryGetValue(secret.SecretName, out var found) && secret.Optional != true)
                throw new UserInputException($"{pod}: Secret '{secret.SecretName}' is not in the file: add it");
            return new LocalVolume(volume.Name, directory, true, Files($"{pod}: Secret '{secret.SecretName}'", found is null ? none : SecretData(found), secret.Items, secret.Optional == true));
        }

        throw new UserInputException($"{pod}: volume '{volume.Name}' is of a kind that needs a cluster: use hostPath, emptyDir, configMap, secret or persistentVolumeClaim here");
    }

    /// <summary>The files of a volume: all keys, or those that it names, under the names that it gives them.</summary>
    private static Dictionary<string, byte[]> Files(string source, Dictionary<string, byte[]> data, IList<V1KeyToPath>? items, bool optional)
    {
        var files = items is not { Count: > 0 } ? data : [];
        foreach (var item in items ?? [])
        {
            if (data.TryGetValue(item.Key, out var bytes))
                files[item.Path] = bytes;
            else if (!optional)
                throw new UserInputException($"{source} has no key '{item.Key}': add it");
        }

        // The API server refuses such names in a cluster.
        return files.Keys.FirstOrDefault(name => name.Split('/').Any(part => part is "" or "." or "..")) is { } outside
            ? throw new UserInputException($"{source}: '{outside}' is no name of a file in a volume")
            : files;
    }

    private static LocalContainer Container(
        string pod,
        string @namespace,
        V1Container container,
        Dictionary<string, LocalVolume> volumes,
        Dictionary<int, int> ports,
        List<(string From, string To)> services,
        LocalObjects objects)
    {
        if (container.Command is not [var program] || program != "moebius")
            throw new UserInputException($"{pod}/{container.Name}: command '{string.Join(' ', container.Command ?? [])}' cannot run locally: only 'moebius' can");

        var mounts = (container.VolumeMounts ?? [])
            .Select(mount => (From: mount.MountPath.TrimEnd('/'), To: Path.Combine(volumes[mount.Name].Directory, mount.SubPath ?? "").TrimEnd('/')))
            .OrderByDescending(mount => mount.From.Length)
            .ToList();
        var environment = new Dictionary<string, string>();
        foreach (var variable in container.Env ?? [])
        {
            if (Value(pod, @namespace, variable, objects) is { } value)
                environment[variable.Name] = Rewrite(value, mounts, ports, services);
        }

        var arguments = (container.Args ?? []).Select(argument => Rewrite(Expand(argument, environment), mounts, ports, services)).ToList();
        var local = (container.Ports ?? []).ToDictionary(port => port.Name ?? port.ContainerPort.ToString(System.Globalization.CultureInfo.InvariantCulture), port => ports[port.ContainerPort]);
        return new LocalContainer(container.Name, arguments, environment, local)
        {
            Startup = Url(container.StartupProbe, container, ports),
            Readiness = Url(container.ReadinessProbe, container, ports),
        };
    }

    private static string? Value(string pod, string @namespace, V1EnvVar variable, LocalObjects objects)
    {
        if (variable.ValueFrom is not { } source)
            return variable.Value ?? "";
        if (source.SecretKeyRef is { } secret)
        {
            if (objects.Secrets.TryGetValue(secret.Name, out var found) && SecretData(found).TryGetValue(secret.Key, out var value))
                return Encoding.UTF8.GetString(value);
            return secret.Optional == true ? null : throw new UserInputException($"{pod}: Secret '{secret.Name}' with key '{secret.Key}' is not in the file: add it");
        }

        // Resource limits are not enforced here.
        if (source.ResourceFieldRef is not null)
            return null;
        return source.FieldRef?.FieldPath switch
        {
            "metadata.name" => pod,
            "metadata.namespace" => @namespace,
            // Here is no node of a cluster: who knew one would ask the cluster that the user's kubeconfig names for it.
            "spec.nodeName" => null,
            "status.podIP" or "status.hostIP" => Loopback,
            var other => throw new UserInputException($"{pod}: environment variable '{variable.Name}' takes its value from '{other ?? "a source"}', which exists only in a cluster"),
        };
    }

    private static Uri? Url(V1Probe? probe, V1Container container, Dictionary<int, int> ports)
    {
        if (probe?.HttpGet is not { } get)
            return null;
        var port = int.TryParse(get.Port.Value, out var number)
            ? number
            : container.Ports.First(candidate => candidate.Name == get.Port.Value).ContainerPort;
        return new Uri($"http://{Loopback}:{ports.GetValueOrDefault(port, port)}{get.Path ?? "/"}");
    }

    private static string Rewrite(string text, List<(string From, string To)> mounts, Dictionary<int, int> ports, List<(string From, string To)> services)
    {
        // A path may stand alone or behind "--flag="; anything else is left as it is.
        var start = text.StartsWith('-') && text.IndexOf('=') is >= 0 and var equals ? equals + 1 : 0;
        var value = text[start..];
        foreach (var (from, to) in mounts)
        {
            if (value == from || value.StartsWith(from + "/", StringComparison.Ordinal))
                return text[..start] + to + value[from.Length..];
        }

        foreach (var (port, local) in ports)
        {
            if (value == $"{AnyAddress}:{port}")
                return text[..start] + $"{Loopback}:{local}";
        }

        return text[..start] + Replace(value, services);
    }

    /// <summary>Only as a whole: port 80 is not the beginning of port 8080.</summary>
    private static string Replace(string text, List<(string From, string To)> services) =>
        services.Aggregate(text, (current, service) => Regex.Replace(current, $"{Regex.Escape(service.From)}(?!\\d)", service.To));

    private static string Expand(string text, Dictionary<string, string> environment) =>
        environment.Aggregate(text, (current, variable) => current.Replace($"$({variable.Key})", variable.Value, StringComparison.Ordinal));

    private static Dictionary<string, byte[]> SecretData(V1Secret secret)
    {
        var result = new Dictionary<string, byte[]>(secret.Data ?? new Dictionary<string, byte[]>());
        foreach (var (key, value) in secret.StringData ?? new Dictionary<string, string>())
            result[key] = Encoding.UTF8.GetBytes(value);
        return result;
    }

    private static bool Selects(IDictionary<string, string>? selector, IDictionary<string, string>? labels) =>
        selector is { Count: > 0 } && labels is not null && selector.All(pair => labels.TryGetValue(pair.Key, out var value) && value == pair.Value);

    private static IEnumerable<V1Container> Containers(V1PodSpec pod) => (pod.InitContainers ?? []).Concat(pod.Containers);
}
