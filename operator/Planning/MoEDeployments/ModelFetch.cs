using Moebius.Crds.Config;
using k8s;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>
/// Brings a model from elsewhere into a claim that the inference pods share: one Job for each source, so that only its
/// pod needs the network and the credentials. The Job's name is made from all that it does; a change makes another one,
/// which finds finished downloads and ends at once.
/// </summary>
internal static class ModelFetch
{
    public const string ContainerName = "fetch";

    private const string Volume = "model", Authorities = "authorities";

    public static bool IsRemote(ModelSource source) => source.S3 is not null || source.Http is not null || source.HuggingFace is not null;

    /// <summary>Directory of a source inside the store: changes with everything that decides which files are meant.</summary>
    public static string Revision(ModelSource source) => ChildBuilder.Hash(source switch
    {
        { S3: { } s3 } => $"s3\n{s3.Uri}\n{s3.Endpoint}\n{s3.Region}",
        { Http: { } http } => $"http\n{http.Url}\n{http.Sha256}",
        { HuggingFace: { } hub } => $"hf\n{hub.Endpoint}\n{hub.Repository}\n{hub.Revision}",
        { HostPath: { } host } => $"host\n{host.Path}",
        { PersistentVolumeClaim: { } claim } => $"claim\n{claim.ClaimName}\n{claim.Path}",
        { Image: { } image } => $"image\n{image.Reference}\n{image.Path}",
        _ => "",
    });

    /// <summary>What sizes depend on: the files, and how experts are stored.</summary>
    public static string SizeKey(MoEDeploymentSpec spec) => spec.Experts.Quantization == ExpertQuantization.None
        ? Revision(spec.Model.Source)
        : ChildBuilder.Hash($"{Revision(spec.Model.Source)}\n{spec.Experts.Quantization}");

    /// <summary>The claim, the Job and the rule that lets its pod out; the Job is last.</summary>
    public static IReadOnlyList<IKubernetesObject<V1ObjectMeta>> Plan(MoEDeployment resource, MoEReferences references, OperatorSettings settings, ServerCapabilities server)
    {
        var child = new ChildBuilder(resource, Components.ModelFetch, resource.Metadata.NamespaceProperty);
        var children = new List<IKubernetesObject<V1ObjectMeta>> { Claim(resource, child) };
        if (resource.Spec.NetworkPolicy.Enabled && server.NetworkPolicies)
            children.Add(NetworkPolicy(resource, child));
        children.Add(Job(resource, references, child, settings, server));
        return children;
    }

    /// <summary>Name of the Job that the current spec asks for.</summary>
    public static string JobName(MoEDeployment resource, MoEReferences references, OperatorSettings settings, ServerCapabilities server) =>
        Job(resource, references, new ChildBuilder(resource, Components.ModelFetch, resource.Metadata.NamespaceProperty), settings, server).Metadata.Name;

    public static V1Container Container(MoEDeploymentSpec spec, OperatorSettings settings)
    {
        var source = spec.Model.Source;
        List<string> args = ["model", "fetch", $"--to={PodPaths.Model}/{Revision(source)}", $"--report={PodPaths.TerminationLog}"];
        List<V1EnvVar> secrets = [];
        switch (source)
        {
            case { S3: { } s3 }:
                args.Add($"--s3={s3.Uri}");
                if (s3.Endpoint is { } endpoint)
                    args.Add($"--endpoint={endpoint}");
                if (s3.Region is { } region)
                    args.Add($"--region={region}");
                if (s3.CredentialsSecretRef is { Name: var name })
                {
                    secrets.Add(Containers.FromSecret(ContainerVariables.AwsKeyId, new SecretKeyReference { Name = name, Key = ContainerVariables.AwsKeyId }));
                    secrets.Add(Containers.FromSecret(ContainerVariables.AwsSecret, new SecretKeyReference { Name = name, Key = ContainerVariables.AwsSecret }));
                }

                break;
            case { Http: { } http }:
                args.AddRange([$"--http={http.Url}", $"--sha256={http.Sha256}"]);
                break;
            case { HuggingFace: { } hub }:
                args.AddRange([$"--hugging-face={hub.Repository}", $"--revision={hub.Revision}", $"--endpoint={hub.Endpoint}"]);
                if (hub.TokenSecretRef is { } token)
                    secrets.Add(Containers.FromSecret(ContainerVariables.HubToken, token));
                break;
        }

        // The packed file is what direct reads are made for.
        if (spec.Experts.SlowTier == SlowTier.DirectIO)
            args.Add("--pack");
        if (spec.Experts.Quantization != ExpertQuantization.None)
            args.Add($"--quantize={spec.Experts.Quantization.ToString().ToLowerInvariant()}");
        var container = Containers.Moebius(
            ContainerName,
            spec.Image ?? settings.ImageOf(Components.Inference),
            spec.ImagePullPolicy,
            args,
            source.Store?.Download?.Resources ?? DefaultResources(),
            [Containers.Mount(Volume, PodPaths.Model, readOnly: false)]);
        foreach (var variable in secrets)
            container.Env.Add(variable);
        if (source.Store?.Download is { } download)
            Reach(container, download);
        return container;
    }

    /// <summary>What the container needs beside the store.</summary>
    public static IEnumerable<V1Volume> Volumes(ModelSource source)
    {
        if (source.Store?.Download?.CaConfigMapRef is { } authorities)
            yield return Containers.ConfigMapVolume(Authorities, authorities.Name, authorities.Key);
    }

    // The same variables that other programs know: .NET and OpenSSL read them by themselves.
    private static void Reach(V1Container container, ModelDownload download)
    {
        if (download.Proxy is { } proxy)
        {
            container.Env.Add(new V1EnvVar { Name = "HTTP_PROXY", Value = proxy.Url });
            container.Env.Add(new V1EnvVar { Name = "HTTPS_PROXY", Value = proxy.Url });
            if (proxy.NoProxy is { Count: > 0 } direct)
                container.Env.Add(new V1EnvVar { Name = "NO_PROXY", Value = string.Join(',', direct) });
        }

        if (download.CaConfigMapRef is not null)
        {
            // Beside the file of public authorities, which the image names in SSL_CERT_FILE.
            container.Env.Add(new V1EnvVar { Name = "SSL_CERT_DIR", Value = PodPaths.Authorities });
            container.VolumeMounts.Add(Containers.Mount(Authorities, PodPaths.Authorities, readOnly: true));
        }
    }

    /// <summary>
    /// The program takes 70 MiB and one expert as it reads and as it packs it. Limits are far above: they are for a namespace
    /// with a quota, which refuses a pod without.
    /// </summary>
    private static V1ResourceRequirements DefaultResources() => new()
    {
        Requests = new Dictionary<string, ResourceQuantity> { ["cpu"] = new("100m"), ["memory"] = new("128Mi") },
        Limits = new Dictionary<string, ResourceQuantity> { ["cpu"] = new("2"), ["memory"] = new("4Gi") },
    };

    private static V1PersistentVolumeClaim Claim(MoEDeployment resource, ChildBuilder child)
    {
        var store = resource.Spec.Model.Source.Store!;
        return child.Claim(Names.ModelStore(resource.Metadata.Name), store.AccessMode.ToString(), store.StorageClassName, store.Size);
    }

    private static V1NetworkPolicy NetworkPolicy(MoEDeployment resource, ChildBuilder child)
    {
        var source = resource.Spec.Model.Source;
        var proxy = source.Store?.Download?.Proxy;
        // A proxy for everything leaves no other way out.
        var direct = proxy is null || proxy.NoProxy is { Count: > 0 } ? Ports(source) : [];
        List<V1NetworkPolicyPort> ports = [.. Traffic.NameServers.Ports, .. direct.Select(port => Traffic.Port(port))];
        var through = proxy is null ? [] : Traffic.Out(new Uri(proxy.Url), resource.Metadata.NamespaceProperty);
        return child.NetworkPolicy(Names.ModelStore(resource.Metadata.Name), null, [new V1NetworkPolicyEgressRule { Ports = ports }, .. through]);
    }

    // Stores redirect to other hosts over HTTPS.
    private static IEnumerable<int> Ports(ModelSource source) => new[] { source.S3?.Endpoint, source.Http?.Url, source.HuggingFace?.Endpoint }
        .Select(text => Uri.TryCreate(text, UriKind.Absolute, out var url) ? url.Port : 443)
        .Append(443)
        .Where(port => port > 0)
        .Distinct()
        .Order();

    private static V1Job Job(MoEDeployment resource, MoEReferences references, ChildBuilder child, OperatorSettings settings, ServerCapabilities server)
    {
        var spec = resource.Spec;
        var metadata = child.PodMetadata(null);
        metadata.Annotations = new Dictionary<string, string> { [Labels.ModelSource] = SizeKey(spec) };
        var pod = new V1PodSpec
        {
            ServiceAccountName = Names.Inference(resource.Metadata.Name),
            AutomountServiceAccountToken = false,
            EnableServiceLinks = false,
            // A pod that failed stays, with its last words.
            RestartPolicy = "Never",
            SecurityContext = Containers.RestrictedPod(),
            ImagePullSecrets = Containers.PullSecrets(spec.ImagePullSecrets),
            Containers = [Container(spec, settings)],
            Volumes = [ModelVolume.Store(resource, readOnly: false), .. Volumes(spec.Model.Source)],
        };
        InferencePod.Place(pod, resource, references.Profile, spread: false);
        StoreAffinity.Draw(pod, resource);
        ProfileNodes.Keep(pod, references.ProfilePlan);
        var job = new V1Job
        {
            ApiVersion = "batch/v1",
            Kind = "Job",
            Spec = new V1JobSpec
            {
                BackoffLimit = 6,
                PodFailurePolicy = server.PodFailurePolicy ? FailOnBadInput() : null,
                Template = new V1PodTemplateSpec { Metadata = metadata, Spec = pod },
            },
        };
        // The template of a Job cannot be changed.
        var hash = ChildBuilder.Hash($"{resource.Metadata.Name}\n{Manifests.ToYaml(job.Spec)}");
        job.Metadata = child.Metadata(Names.ModelJob(resource.Metadata.Name, hash));
        return job;
    }

    private static V1PodFailurePolicy FailOnBadInput() => new()
    {
        Rules = [new V1PodFailurePolicyRule { Action = "FailJob", OnExitCodes = new V1PodFailurePolicyOnExitCodesRequirement { ContainerName = ContainerName, OperatorProperty = "In", Values = [ContainerFailure.BadInput] } }],
    };
}
