using System.Formats.Tar;
using System.IO.Compression;
using Moebius.Crds;

namespace Moebius.Inference.Fetch;

/// <summary>An archive (tar, tar.gz, zip) behind a URL, with its SHA-256.</summary>
internal sealed class ArchiveOrigin : IModelOrigin
{
    private readonly RemoteFile _file;

    /// <exception cref="UserInputException">Not a URL or not a digest.</exception>
    public ArchiveOrigin(string url, string sha256)
    {
        var address = StoreUrl.Http(url, "--http", "https://example.com/model.tar.gz");
        if (sha256.Length != 64 || !sha256.All(char.IsAsciiHexDigitLower))
            throw new UserInputException($"--sha256: '{sha256}' is not the SHA-256 of a file: 64 lower-case hexadecimal digits");
        _file = new RemoteFile("archive", address, null, new Digest(DigestKind.Sha256, sha256));
        Name = address.GetLeftPart(UriPartial.Path);
    }

    /// <inheritdoc />
    public string Name { get; }

    /// <summary>The checksum alone: wherever it lies, it is the same archive. A URL may hold what only its user may know.</summary>
    public string Record => $"sha256 {_file.Digest!.Hex}";

    /// <inheritdoc />
    public Task<IReadOnlyList<RemoteFile>> ListAsync(CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<RemoteFile>>([_file]);

    /// <inheritdoc />
    public HttpRequestMessage Request(RemoteFile file, long from) => RemoteFile.Get(file.Url, from);

    /// <summary>
    /// Takes the files of a model out of an archive, wherever in it they are. Only plain names are ever used, so nothing
    /// in the archive can reach outside the directory.
    /// </summary>
    /// <exception cref="UserInputException">Not an archive, or without a model in it.</exception>
    public static void Extract(string archive, string directory)
    {
        try
        {
            var root = Entries(archive).Where(name => Path.GetFileName(name) == "config.json").Select(Folder).OrderBy(folder => folder.Count(letter => letter == '/')).FirstOrDefault()
                ?? throw new UserInputException("the archive holds no config.json: it must hold a model directory");
            Visit(archive, (name, stream) =>
            {
                if (Folder(name) != root || !RemoteFile.IsWanted(Path.GetFileName(name)))
                    return;
                using var target = new FileStream(Path.Combine(directory, Path.GetFileName(name)), FileMode.Create);
                stream.CopyTo(target);
                target.Flush(flushToDisk: true);
            });
        }
        catch (Exception error) when (error is InvalidDataException or EndOfStreamException or FormatException)
        {
            throw new UserInputException($"the archive is not a tar, tar.gz or zip file that can be read: {error.Message}", error);
        }
    }

    private static string Folder(string name) => name.Contains('/', StringComparison.Ordinal) ? name[..name.LastIndexOf('/')] : "";

    private static List<string> Entries(string archive)
    {
        var entries = new List<string>();
        Visit(archive, (name, _) => entries.Add(name));
        return entries;
    }

    private static void Visit(string archive, Action<string, Stream> file)
    {
        using var stream = File.OpenRead(archive);
        Span<byte> magic = stackalloc byte[2];
        var read = stream.ReadAtLeast(magic, 2, throwOnEndOfStream: false);
        stream.Position = 0;
        if (read == 2 && magic is [(byte)'P', (byte)'K'])
        {
            using var zip = new ZipArchive(stream, ZipArchiveMode.Read);
            foreach (var entry in zip.Entries.Where(entry => entry.Name.Length > 0))
            {
                using var content = entry.Open();
                file(entry.FullName, content);
            }

            return;
        }

        using var plain = read == 2 && magic is [0x1f, 0x8b] ? new GZipStream(stream, CompressionMode.Decompress) : (Stream)stream;
        using var tar = new TarReader(plain);
        while (tar.GetNextEntry() is { } entry)
        {
            // Links are not followed.
            if (entry.EntryType is TarEntryType.RegularFile or TarEntryType.V7RegularFile && entry.DataStream is { } content)
                file(entry.Name, content);
        }
    }
}
