using System.Formats.Tar;
using System.Security.Cryptography;
using System.Text;

namespace Moebius.Images;

/// <summary>A binary package of Debian: its control data and its files.</summary>
/// <param name="File">The .deb file.</param>
/// <param name="Control">Its control stanza, as <c>dpkg</c> keeps it.</param>
/// <param name="Sha256">SHA-256 of the file, in lower-case hexadecimal.</param>
internal sealed record DebianPackage(string File, string Control, string Sha256)
{
    /// <summary>The modes that the files of a package may carry into an image; set-user-id bits are not among them.</summary>
    private const UnixFileMode Permissions = (UnixFileMode)0b111_111_111;

    public string Name => Field("Package");

    public string Version => Field("Version");

    public string Architecture => Field("Architecture");

    /// <summary>The package that it was built from.</summary>
    public string Source => Optional("Source")?.Split(' ')[0] ?? Name;

    public static async Task<DebianPackage> ReadAsync(string file, CancellationToken cancellationToken)
    {
        var control = await Shell.RunAsync("dpkg-deb", ["--field", file], cancellationToken);
        await using var stream = System.IO.File.OpenRead(file);
        return new DebianPackage(file, control.TrimEnd('\n') + "\n", Convert.ToHexStringLower(await SHA256.HashDataAsync(stream, cancellationToken)));
    }

    /// <summary>
    /// Adds its files to a layer, without documentation other than the licence, and the control data where scanners look for
    /// packages of an image that has no package manager.
    /// </summary>
    /// <param name="layer">Where to.</param>
    /// <param name="wanted">Which paths; licences come in any case.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public async Task AddToAsync(LayerContent layer, Func<string, bool> wanted, CancellationToken cancellationToken)
    {
        var added = 0;
        await ReadEntriesAsync(
            path => IsLicence(path) || (!IsDocumentation(path) && wanted(path)),
            async (path, entry) => added += await AddAsync(layer, path, entry, cancellationToken) ? 1 : 0,
            cancellationToken);
        if (added == 0)
            throw new ImageException($"package {Name}: none of its files is wanted");
        layer.AddFile($"var/lib/dpkg/status.d/{Name}", Encoding.UTF8.GetBytes(Control));
    }

    /// <summary>Reads the contents of its regular files.</summary>
    public Task ReadFilesAsync(Func<string, bool> wanted, Action<string, byte[]> read, CancellationToken cancellationToken) => ReadEntriesAsync(
        wanted,
        async (path, entry) =>
        {
            if (entry.EntryType is TarEntryType.RegularFile or TarEntryType.V7RegularFile)
                read(path, await ContentAsync(entry, cancellationToken));
        },
        cancellationToken);

    private Task ReadEntriesAsync(Func<string, bool> wanted, Func<string, TarEntry, Task> read, CancellationToken cancellationToken) => Shell.ReadAsync(
        "dpkg-deb",
        ["--fsys-tarfile", File],
        async stream =>
        {
            await using var reader = new TarReader(stream, leaveOpen: true);
            while (await reader.GetNextEntryAsync(copyData: true, cancellationToken) is { } entry)
            {
                var path = entry.Name.TrimEnd('/');
                path = path.StartsWith("./", StringComparison.Ordinal) ? path[2..] : path;
                if (path is not ("" or ".") && wanted(path))
                    await read(path, entry);
            }
        },
        cancellationToken);

    private static async Task<byte[]> ContentAsync(TarEntry entry, CancellationToken cancellationToken)
    {
        var content = new MemoryStream();
        if (entry.DataStream is { } data)
            await data.CopyToAsync(content, cancellationToken);
        return content.ToArray();
    }

    private async Task<bool> AddAsync(LayerContent layer, string path, TarEntry entry, CancellationToken cancellationToken)
    {
        switch (entry.EntryType)
        {
            case TarEntryType.Directory:
                return false; // those that hold files come by themselves
            case TarEntryType.RegularFile or TarEntryType.V7RegularFile:
                layer.AddFile(path, await ContentAsync(entry, cancellationToken), entry.Mode & Permissions);
                return true;
            case TarEntryType.SymbolicLink:
                layer.AddLink(path, entry.LinkName);
                return true;
            default:
                throw new ImageException($"package {Name}: '{path}' is a {entry.EntryType}, which an image cannot carry");
        }
    }

    private static bool IsLicence(string path) => path.StartsWith("usr/share/doc/", StringComparison.Ordinal) && (path.EndsWith("/copyright", StringComparison.Ordinal) || path.Count(c => c == '/') == 3);

    private static bool IsDocumentation(string path) =>
        path.StartsWith("usr/share/doc/", StringComparison.Ordinal) || path.StartsWith("usr/share/man/", StringComparison.Ordinal)
        || path.StartsWith("usr/share/lintian/", StringComparison.Ordinal) || path.StartsWith("usr/share/locale/", StringComparison.Ordinal);

    private string Field(string name) => Optional(name) ?? throw new ImageException($"{File}: its control data has no field '{name}'");

    private string? Optional(string name) =>
        Control.Split('\n').FirstOrDefault(line => line.StartsWith(name + ": ", StringComparison.Ordinal))?[(name.Length + 2)..];
}
