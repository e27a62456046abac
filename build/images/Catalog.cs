namespace Moebius.Images;

/// <summary>A package of Debian and which of its files an image takes; without a filter, all but documentation.</summary>
internal sealed record WantedPackage(string Name, Func<string, bool>? Files = null);

/// <summary>One image: a part of Moebius with what only that part needs.</summary>
/// <param name="Name">Its name in a registry.</param>
/// <param name="Title">What it is, in one line.</param>
/// <param name="Arguments">What <c>moebius</c> does when a container names no arguments.</param>
/// <param name="Native">NuGet packages whose native libraries it needs.</param>
/// <param name="Packages">Debian packages that it needs beside the common ones.</param>
internal sealed record ImageDefinition(string Name, string Title, string[] Arguments, string[] Native, WantedPackage[] Packages);

/// <summary>
/// What goes into which image. All images hold the same program; what sets them apart are native libraries, which are
/// nine tenths of its size. So they share the layers of the base, the runtime and the program, and a node that runs
/// several of them stores those once.
/// </summary>
internal static class Catalog
{
    /// <summary>The release of Debian that the images are made from.</summary>
    public const string Suite = "trixie";

    /// <summary>User and group of every image.</summary>
    public const int User = 65532;

    private const string OnnxRuntime = "Microsoft.ML.OnnxRuntime";
    private const string Skia = "SkiaSharp.NativeAssets.Linux.NoDependencies";
    private const string Sqlite = "SQLite";

    /// <summary>
    /// The common packages. No shell and no package manager: there is nothing in a container to log in to. Their post-install
    /// scripts do not run; what they would do is in <see cref="BaseLayer"/>, where it is needed at all.
    /// </summary>
    public static WantedPackage[] Base { get; } =
    [
        new("base-files", path => path is "etc/debian_version" or "usr/lib/os-release" or "etc/host.conf"),
        new("ca-certificates", path => path.StartsWith("usr/share/ca-certificates/", StringComparison.Ordinal)),
        // The one command beside moebius: the hook that lets a pod's endpoints go before the engine stops, on servers that
        // have no hook of their own for that.
        new("coreutils", path => path == "usr/bin/sleep"),
        new("gcc-14-base"), // the licence of the next but one
        new("libc6", path => !path.Contains("/gconv/", StringComparison.Ordinal)), // .NET brings its own character sets
        new("libgcc-s1"),
        new("libssl3t64"), // TLS and hashes of .NET
        new("libstdc++6"),
        new("libzstd1"), // libssl
        new("zlib1g"), // libssl
    ];

    public static IReadOnlyList<ImageDefinition> Images { get; } =
    [
        new("moebius-operator", "The Kubernetes operator of Moebius", ["operator", "run"], [], []),
        // Its pod runs the cache, too, possibly from this image: what the cache needs is here as well.
        new("moebius-inference", "The inference server of Moebius", ["serve"], [OnnxRuntime], []),
        new("moebius-kvcache", "The prefix cache of Moebius", ["kvcache", "serve"], [OnnxRuntime], []),
        new("moebius-node-agent", "The node agent of Moebius", ["cxl", "agent"], [], [new("libbpf1"), new("libelf1t64")]),
        new("moebius-prompt-optimizer", "The prompt optimizer of Moebius", ["prompt-optimizer", "serve"], [OnnxRuntime, Skia, Sqlite], []),
    ];

    /// <summary>
    /// NuGet packages whose native libraries some images leave out. The libraries of any other package are in all images, so
    /// that a new dependency works before anybody sorts it.
    /// </summary>
    public static IReadOnlySet<string> SortedNative { get; } = Images.SelectMany(image => image.Native).ToHashSet(StringComparer.Ordinal);
}
