using System.Runtime.Versioning;

namespace Moebius.KubernetesEnvironment.Tests;

/// <summary>
/// Where build/kubernetes/assets.sh looks, and in which order, with small programs in place of the real ones. Every test has
/// a cache of its own and no way to the network.
/// </summary>
[SupportedOSPlatform("linux")]
[Trait("Category", "Component")]
public sealed class AssetsScriptTests : IDisposable
{
    private static readonly string Script = TestData.Path("../../build/kubernetes/assets.sh");

    private readonly string _root = Directory.CreateTempSubdirectory().FullName;
    private readonly Dictionary<string, string> _environment;

    public AssetsScriptTests()
    {
        _environment = new()
        {
            ["MOEBIUS_CACHE"] = Path.Combine(_root, "cache"),
            ["MOEBIUS_KUBE_ASSETS"] = Folder("no-archives"),
            ["KUBEBUILDER_ASSETS"] = "",
            ["PATH"] = $"{Folder("tools")}:/usr/bin:/bin",
        };
    }

    private string CacheBin => Path.Combine(_root, "cache", "kubernetes", "bin");

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public async Task Complete_cache_is_used_without_a_look_elsewhere()
    {
        Programs(CacheBin, "v1.20.2", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "apiextensions-apiserver", "kubectl", "helm");

        Assert.Equal(CacheBin, (await RunAsync()).EnsureSuccess().StandardOutput.Trim());
    }

    [Fact]
    public async Task Folder_of_envtest_comes_before_the_cache_and_is_completed_with_helm()
    {
        await Complete_cache_is_used_without_a_look_elsewhere();
        _environment["KUBEBUILDER_ASSETS"] = Programs(Folder("envtest"), "v1.33.0", "etcd", "kube-apiserver", "kubectl");

        var folder = (await RunAsync()).EnsureSuccess().StandardOutput.Trim();

        Assert.Equal(Path.Combine(Folder("envtest"), "kube-apiserver"), File.ResolveLinkTarget(Path.Combine(folder, "kube-apiserver"), true)!.FullName);
        Assert.Equal(Path.Combine(CacheBin, "helm"), File.ResolveLinkTarget(Path.Combine(folder, "helm"), true)!.FullName);
        Assert.False(File.Exists(Path.Combine(folder, "apiextensions-apiserver")));
        Assert.Equal(folder, (await RunAsync()).EnsureSuccess().StandardOutput.Trim());
    }

    [Fact]
    public async Task Old_folder_of_envtest_gets_the_separate_server_of_crds()
    {
        await Complete_cache_is_used_without_a_look_elsewhere();
        _environment["KUBEBUILDER_ASSETS"] = Programs(Folder("envtest"), "v1.24.0", "etcd", "kube-apiserver", "kubectl");

        var folder = (await RunAsync()).EnsureSuccess().StandardOutput.Trim();

        Assert.True(File.Exists(Path.Combine(folder, "apiextensions-apiserver")));
    }

    [Fact]
    public async Task Setup_envtest_on_the_path_is_asked_when_the_cache_is_empty()
    {
        Programs(CacheBin, "v1.20.2", "kubectl", "helm");
        var envtest = Programs(Folder("envtest"), "v1.33.0", "etcd", "kube-apiserver", "kubectl");
        Executable(Path.Combine(Folder("tools"), "setup-envtest"), $"[ \"$*\" = 'use -p path' ] && echo '{envtest}'");

        var folder = (await RunAsync()).EnsureSuccess().StandardOutput.Trim();

        Assert.Equal(Path.Combine(envtest, "etcd"), File.ResolveLinkTarget(Path.Combine(folder, "etcd"), true)!.FullName);
    }

    [Fact]
    public async Task Archives_fill_what_the_cache_lacks()
    {
        Programs(CacheBin, "v1.20.2", "etcd", "kubectl", "helm");
        var content = Folder("content");
        Programs(Path.Combine(content, "bin"), "v1.20.2", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "apiextensions-apiserver");
        (await Command.RunAsync("tar", ["-cJf", Path.Combine(Folder("no-archives"), "servers.tar.xz"), "-C", content, "bin"])).EnsureSuccess();
        await File.WriteAllTextAsync(Path.Combine(content, "source.go"), "package main");
        (await Command.RunAsync("tar", ["-cJf", Path.Combine(Folder("no-archives"), "a-sources.tar.xz"), "-C", content, "source.go"])).EnsureSuccess();

        Assert.Equal(CacheBin, (await RunAsync()).EnsureSuccess().StandardOutput.Trim());
        Assert.Equal(9, Directory.GetFiles(CacheBin).Length);
        Assert.False(Directory.Exists(Path.Combine(_root, "cache", "kubernetes", "work")));
    }

    [Fact]
    public async Task Nothing_ready_made_is_exit_3_with_what_to_do()
    {
        var result = await RunAsync();

        Assert.Equal(3, result.ExitCode);
        Assert.Empty(result.StandardOutput);
        Assert.Contains("run build/kubernetes/assets.sh", result.StandardError, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("KUBEBUILDER_ASSETS")]
    [InlineData("MOEBIUS_KUBE_ASSETS")]
    public async Task Setting_that_names_no_usable_folder_is_exit_2_and_one_line(string setting)
    {
        _environment[setting] = "/no/such/folder";

        var result = await RunAsync();

        Assert.Equal(2, result.ExitCode);
        Assert.Contains(setting, result.StandardError, StringComparison.Ordinal);
        Assert.Contains("'/no/such/folder'", result.StandardError, StringComparison.Ordinal);
        Assert.Single(result.StandardError.Trim().Split('\n'));
    }

    private static void Executable(string path, string text)
    {
        File.WriteAllText(path, $"#!/bin/sh\n{text}\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserExecute);
    }

    private static string Programs(string folder, string version, params string[] names)
    {
        Directory.CreateDirectory(folder);
        foreach (var name in names)
            Executable(Path.Combine(folder, name), $"echo Kubernetes {version}");
        return folder;
    }

    private string Folder(string name) => Directory.CreateDirectory(Path.Combine(_root, name)).FullName;

    private Task<CommandResult> RunAsync() => Command.RunAsync(Script, ["--no-build"], environment: _environment);
}
