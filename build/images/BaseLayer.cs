using System.Text;

namespace Moebius.Images;

/// <summary>The lowest layer: the C libraries, certificates, and the files that name users.</summary>
internal static class BaseLayer
{
    private const string Certificates = "etc/ssl/certs/ca-certificates.crt";

    public static async Task<LayerContent> CreateAsync(IReadOnlyDictionary<string, DebianPackage> packages, CancellationToken cancellationToken)
    {
        var layer = new LayerContent();
        await AddAsync(layer, Catalog.Base, packages, cancellationToken);
        // Debian's merged /usr.
        foreach (var name in new[] { "bin", "lib", "lib64", "sbin" })
            layer.AddLink(name, "usr/" + name);
        layer.AddDirectory("usr/sbin");
        layer.AddLink("etc/os-release", "../usr/lib/os-release");
        layer.AddFile("etc/passwd", Encoding.ASCII.GetBytes($"root:x:0:0:root:/:/usr/sbin/nologin\nmoebius:x:{Catalog.User}:{Catalog.User}:moebius:/var/lib/moebius:/usr/sbin/nologin\n"));
        layer.AddFile("etc/group", Encoding.ASCII.GetBytes($"root:x:0:\nmoebius:x:{Catalog.User}:\n"));
        layer.AddFile("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"u8.ToArray());
        await AddCertificatesAsync(layer, packages["ca-certificates"], cancellationToken);
        // Where volumes are mounted, and what a container expects to find.
        foreach (var path in new[] { "dev", "etc/moebius", "models", "proc", "run", "sys" })
            layer.AddDirectory(path);
        layer.AddDirectory("tmp", LayerContent.Directory | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite | UnixFileMode.StickyBit);
        layer.AddDirectory("var/lib/moebius", owner: Catalog.User);
        layer.AddDirectory("run/moebius", owner: Catalog.User);
        return layer;
    }

    public static async Task AddAsync(LayerContent layer, IEnumerable<WantedPackage> wanted, IReadOnlyDictionary<string, DebianPackage> packages, CancellationToken cancellationToken)
    {
        foreach (var package in wanted)
            await packages[package.Name].AddToAsync(layer, package.Files ?? (_ => true), cancellationToken);
    }

    /// <summary>All authorities of the package in one file, as its own script would write them.</summary>
    private static async Task AddCertificatesAsync(LayerContent layer, DebianPackage package, CancellationToken cancellationToken)
    {
        var single = new SortedDictionary<string, string>(StringComparer.Ordinal);
        await package.ReadFilesAsync(
            path => path.EndsWith(".crt", StringComparison.Ordinal),
            (path, content) => single[path] = Encoding.ASCII.GetString(content),
            cancellationToken);
        layer.AddFile(Certificates, Encoding.ASCII.GetBytes(string.Concat(single.Values.Select(pem => pem.TrimEnd('\n') + "\n"))));
    }
}
