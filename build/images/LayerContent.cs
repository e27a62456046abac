using System.Formats.Tar;

namespace Moebius.Images;

/// <summary>
/// The files of one layer, by path. What it is written to depends on the paths, modes and contents alone: entries are sorted,
/// all belong to user 0, and all carry the same time.
/// </summary>
internal sealed class LayerContent
{
    /// <summary>
    /// The time of every file. A layer is the same blob in every release that does not change it, so this is not the time of
    /// the release.
    /// </summary>
    public static readonly DateTimeOffset FileTime = DateTimeOffset.UnixEpoch;

    public const UnixFileMode Directory = (UnixFileMode)0b111_101_101;
    public const UnixFileMode Program = (UnixFileMode)0b111_101_101;
    public const UnixFileMode File = (UnixFileMode)0b110_100_100;

    private const UnixFileMode Special = UnixFileMode.SetUser | UnixFileMode.SetGroup;

    private readonly SortedDictionary<string, Entry> _entries = new(StringComparer.Ordinal);

    public IEnumerable<string> Paths => _entries.Keys;

    /// <summary>A directory; those above it come by themselves.</summary>
    public LayerContent AddDirectory(string path, UnixFileMode mode = Directory, int owner = 0)
    {
        Add(path, new Entry(TarEntryType.Directory, mode, null, null, owner));
        return this;
    }

    public LayerContent AddFile(string path, Func<Stream> open, UnixFileMode mode = File)
    {
        Add(path, new Entry(TarEntryType.RegularFile, mode, open, null, 0));
        return this;
    }

    public LayerContent AddFile(string path, byte[] content, UnixFileMode mode = File) => AddFile(path, () => new MemoryStream(content, writable: false), mode);

    public LayerContent AddLink(string path, string target)
    {
        Add(path, new Entry(TarEntryType.SymbolicLink, (UnixFileMode)0b111_111_111, null, target, 0));
        return this;
    }

    /// <summary>Writes the layer as an uncompressed tar archive.</summary>
    public async Task WriteAsync(Stream output, CancellationToken cancellationToken)
    {
        await using var writer = new TarWriter(output, TarEntryFormat.Ustar, leaveOpen: true);
        foreach (var (path, entry) in _entries)
        {
            var written = new UstarTarEntry(entry.Type, entry.Type == TarEntryType.Directory ? path + "/" : path)
            {
                Mode = entry.Mode,
                ModificationTime = FileTime,
                Uid = entry.Owner,
                Gid = entry.Owner,
            };
            if (entry.Target is { } target)
                written.LinkName = target;
            await using var content = entry.Open?.Invoke();
            if (content is not null)
                written.DataStream = content;
            await writer.WriteEntryAsync(written, cancellationToken);
        }
    }

    private void Add(string path, Entry entry)
    {
        if (path.Length == 0 || path[0] == '/' || path.Split('/').Any(part => part is "" or "." or ".."))
            throw new ImageException($"'{path}' is no path inside an image");
        if ((entry.Mode & Special) != 0)
            throw new ImageException($"'{path}' would run with the rights of its owner: such files do not belong into an image");
        if (_entries.TryGetValue(path, out var there) && !(there.Type == TarEntryType.Directory && entry.Type == TarEntryType.Directory))
            throw new ImageException($"'{path}' would be in the layer twice");
        for (var slash = path.LastIndexOf('/'); slash > 0; slash = path.LastIndexOf('/', slash - 1))
            _entries.TryAdd(path[..slash], new Entry(TarEntryType.Directory, Directory, null, null, 0));
        _entries[path] = entry;
    }

    private sealed record Entry(TarEntryType Type, UnixFileMode Mode, Func<Stream>? Open, string? Target, int Owner);
}
