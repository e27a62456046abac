using System.Text.RegularExpressions;

namespace Moebius.KubernetesEnvironment;

/// <summary>The programs of a Kubernetes control plane on this machine, as <c>build/kubernetes/assets.sh</c> finds them.</summary>
public sealed partial class KubernetesAssets
{
    /// <summary>The first minor version of Kubernetes 1.x whose CRDs have stable CEL rules.</summary>
    private const int CelSinceMinor = 29;

    /// <summary>The exit code by which the script says that nothing is wrong, but only a build would help.</summary>
    private const int BuildNeeded = 3;

    private static readonly Lazy<Task<KubernetesAssets>> Shared = new(LocateAsync);

    private KubernetesAssets(string folder, Version serverVersion)
    {
        Folder = folder;
        ServerVersion = serverVersion;
    }

    /// <summary>The folder that holds the programs.</summary>
    public string Folder { get; }

    /// <summary>The version of <c>kube-apiserver</c>, such as 1.20.2.</summary>
    public Version ServerVersion { get; }

    /// <summary>Whether the core is too old for CEL rules, so that CRDs are served by a newer server beside it.</summary>
    public bool NeedsSeparateCustomResourceServer => LacksCel(ServerVersion);

    /// <summary>Whether helm is there; a folder of envtest's own holds none.</summary>
    public bool HasHelm => File.Exists(Path.Combine(Folder, Programs.Helm));

    /// <summary>Whether kube-controller-manager is there; a folder of envtest's own holds none.</summary>
    public bool HasControllerManager => File.Exists(Path.Combine(Folder, Programs.ControllerManager));

    /// <summary>
    /// Finds the programs, once per process. Ready-made ones are downloaded or unpacked; nothing is compiled, which takes
    /// minutes: that is <c>build/kubernetes/assets.sh</c>, run by hand or by <c>make test</c>.
    /// </summary>
    /// <exception cref="KubernetesAssetsMissingException">There are none; the message says how to obtain them.</exception>
    /// <exception cref="InvalidOperationException">A setting is wrong, a download failed, or a program does not run.</exception>
    public static Task<KubernetesAssets> FindAsync() => Shared.Value;

    /// <summary>The full path of one program.</summary>
    /// <param name="name">Its file name, such as <c>kubectl</c>.</param>
    /// <exception cref="KubernetesAssetsMissingException">The folder does not hold it.</exception>
    public string Program(string name)
    {
        var path = Path.Combine(Folder, name);
        return File.Exists(path)
            ? path
            : throw new KubernetesAssetsMissingException($"'{name}' is missing in {Folder}; unset KUBEBUILDER_ASSETS and run build/kubernetes/assets.sh to get it");
    }

    internal static bool LacksCel(Version version) => version < new Version(1, CelSinceMinor);

    /// <summary>Reads what <c>kube-apiserver --version</c> prints, such as <c>Kubernetes v1.32.0-rc.1+k3s1</c>.</summary>
    internal static Version ParseVersion(string text)
    {
        var match = VersionPattern().Match(text);
        return match.Success
            ? Version.Parse(match.Groups[1].Value)
            : throw new InvalidOperationException($"kube-apiserver --version printed '{text.Trim()}', which names no version such as v1.32.0");
    }

    [GeneratedRegex(@"v(\d+\.\d+\.\d+)")]
    private static partial Regex VersionPattern();

    private static async Task<KubernetesAssets> LocateAsync()
    {
        var script = Script("assets.sh");
        var located = await Command.RunAsync(script, ["--no-build"]).ConfigureAwait(false);
        if (located.ExitCode == BuildNeeded)
            throw new KubernetesAssetsMissingException($"{script} --no-build: {located.StandardError.Trim()}");
        var folder = located.EnsureSuccess().StandardOutput.Trim();
        var version = await Command.RunAsync(Path.Combine(folder, Programs.ApiServer), ["--version"]).ConfigureAwait(false);
        return new KubernetesAssets(folder, ParseVersion(version.EnsureSuccess().StandardOutput));
    }

    /// <summary>A script of <c>build/kubernetes</c>.</summary>
    internal static string Script(string name)
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var script = Path.Combine(folder.FullName, "build", "kubernetes", name);
            if (File.Exists(script))
                return script;
        }

        throw new InvalidOperationException($"build/kubernetes/{name} is in no folder above {AppContext.BaseDirectory}; run the tests from a checkout of the repository");
    }
}
