using System.Globalization;
using Moebius.Crds;

namespace Moebius.Inference.Fetch;

/// <summary>
/// Brings a model into a directory of a store, once, however many ask at the same time and however often it is
/// interrupted. The directory gets its name when everything in it is whole, so that it is there or it is not.
/// </summary>
internal sealed class ModelFetcher(HttpClient http, TimeProvider time, Action<string> log)
{
    private const string Partial = ".partial";
    private const string Lock = ".lock";

    /// <summary>Says, in an unfinished directory, of which version of each file it is.</summary>
    private const string Listed = ".listed";

    /// <summary>Says, in a whole directory, where its files came from.</summary>
    private const string Origin = ".origin";

    /// <summary>What to say of what a fetch that failed has left; empty where that is nothing.</summary>
    /// <param name="target">The directory that it was to make.</param>
    public static string Left(string target)
    {
        target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(target));
        return Directory.Exists(target + Partial) ? $"; what has come is kept in {target}{Partial}, beside {Path.GetFileName(target)}{Lock}: the same command goes on from there" : "";
    }

    /// <summary>Fetches.</summary>
    /// <param name="origin">Where from.</param>
    /// <param name="target">The directory; its parent is the store.</param>
    /// <param name="inspect">Looks at the directory before the weights are there, and throws when they are not worth fetching; not asked about archives.</param>
    /// <param name="prepare">What to do with the files before they are given their name, such as packing; done again, for a model that is there already.</param>
    /// <param name="cancellationToken">Stops; a later call goes on.</param>
    public async Task FetchAsync(IModelOrigin origin, string target, Action<string>? inspect, Action<string>? prepare, CancellationToken cancellationToken)
    {
        target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(target));
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        await using var held = await LockAsync(target + Lock, cancellationToken).ConfigureAwait(false);
        if (Directory.Exists(target) && IsIt(origin, target))
        {
            prepare?.Invoke(target);
            return;
        }

        var partial = target + Partial;
        Directory.CreateDirectory(partial);
        var files = await origin.ListAsync(cancellationToken).ConfigureAwait(false);
        if (origin is not ArchiveOrigin && files.All(file => file.Name != "config.json"))
            throw new UserInputException($"{origin.Name}: holds no config.json: it must be a model in Hub layout");
        ForgetOthers(partial, files);
        var downloader = new Downloader(http, time, log);
        if (origin is ArchiveOrigin)
        {
            await DownloadAsync(files, 0, files.Count).ConfigureAwait(false);
            var archive = Path.Combine(partial, files[0].Name);
            ArchiveOrigin.Extract(archive, partial);
            File.Delete(archive);
        }
        else
        {
            // What a model is comes first: it may be of a kind that is not served, and it says which weights it needs.
            var small = files.Where(file => !WeightFiles.IsWeights(file.Name)).ToList();
            await DownloadAsync(small, 0, files.Count).ConfigureAwait(false);
            inspect?.Invoke(partial);
            var weights = WeightFiles.Needed(files, partial, origin.Name);
            await DownloadAsync(weights, small.Count, small.Count + weights.Count).ConfigureAwait(false);
        }

        if (Directory.Exists(target))
        {
            try
            {
                RequireSame(origin, partial, target);
            }
            finally
            {
                Directory.Delete(partial, recursive: true);
            }

            prepare?.Invoke(target);
        }
        else
        {
            prepare?.Invoke(partial);
            File.Delete(Path.Combine(partial, Listed));
            File.WriteAllText(Path.Combine(partial, Origin), origin.Record + "\n");
            Directory.Move(partial, target);
            Tidy(target);
        }

        log($"{target} holds {origin.Name}");

        async Task DownloadAsync(IReadOnlyList<RemoteFile> some, int before, int all)
        {
            foreach (var (index, file) in some.Index())
            {
                log(string.Create(CultureInfo.InvariantCulture, $"{before + index + 1}/{all} {file.Name}{(file.Size is { } size ? $" ({Quantities.Format(size)})" : "")}"));
                await downloader.DownloadAsync(origin, file, Path.Combine(partial, file.Name), cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Whether a directory that is there is to be taken for the model. False: that has to be found out, since there is a checksum that nobody has held it against.</summary>
    /// <exception cref="UserInputException">It is another.</exception>
    private bool IsIt(IModelOrigin origin, string target)
    {
        var file = Path.Combine(target, Origin);
        if (File.Exists(file))
        {
            if (File.ReadAllText(file).TrimEnd('\n') is var record && record != origin.Record)
                throw new UserInputException($"--to: {target} holds another model ({PublicText(record)} instead of {origin.Record}): name another directory, or delete it");
            log($"{target} holds {origin.Name} already");
            return true;
        }

        if (origin is ArchiveOrigin)
        {
            log($"{target} is there, and nothing says where it came from: fetching {origin.Name} to compare");
            return false;
        }

        log($"{target} is there, and nothing says where it came from: taken for {origin.Name} as it is, nothing was checked");
        return true;
    }

    // The file may be anybody's.
    private static string PublicText(string record) => string.Concat(record.Take(200).Select(letter => char.IsControl(letter) ? '?' : letter));

    /// <summary>Holds a directory against what has been fetched, and writes down that it is the same.</summary>
    private static void RequireSame(IModelOrigin origin, string fetched, string target)
    {
        foreach (var name in Directory.GetFiles(fetched).Select(path => Path.GetFileName(path)).Where(name => name != Listed).Order(StringComparer.Ordinal))
        {
            if (!SameBytes(Path.Combine(fetched, name), Path.Combine(target, name)))
                throw new UserInputException($"--to: {target} holds another model: {name} is not that of {origin.Name}; name another directory, or delete it");
        }

        File.WriteAllText(Path.Combine(target, Origin), origin.Record + "\n");
    }

    private static bool SameBytes(string one, string other)
    {
        if (!File.Exists(other))
            return false;
        using FileStream first = File.OpenRead(one), second = File.OpenRead(other);
        if (first.Length != second.Length)
            return false;
        byte[] left = new byte[1 << 20], right = new byte[1 << 20];
        while (first.ReadAtLeast(left, left.Length, throwOnEndOfStream: false) is > 0 and var read)
        {
            second.ReadExactly(right.AsSpan(0, read));
            if (!left.AsSpan(0, read).SequenceEqual(right.AsSpan(0, read)))
                return false;
        }

        return true;
    }

    /// <summary>Deletes what an interrupted download has left of another version of the model: parts of both would be neither.</summary>
    private static void ForgetOthers(string partial, IReadOnlyList<RemoteFile> files)
    {
        var list = Path.Combine(partial, Listed);
        HashSet<string> before = File.Exists(list) ? [.. File.ReadAllLines(list)] : [];
        var same = files.Where(file => before.Contains(Line(file))).SelectMany(file => new[] { file.Name, file.Name + Downloader.Part }).ToHashSet();
        foreach (var path in Directory.GetFiles(partial).Where(path => !same.Contains(Path.GetFileName(path))))
            File.Delete(path);
        File.WriteAllLines(list, files.Select(Line));

        static string Line(RemoteFile file) => string.Create(CultureInfo.InvariantCulture, $"{file.Name}\t{file.Size}\t{file.Digest?.Hex}\t{file.Version}");
    }

    /// <summary>
    /// Pods that are being replaced still read the model of before: that one stays. Older ones, and what others left
    /// unfinished, go.
    /// </summary>
    private void Tidy(string target)
    {
        var others = Directory.GetDirectories(Path.GetDirectoryName(target)!).Where(directory => directory != target && IsOurs(directory)).ToList();
        var before = others.Where(directory => !directory.EndsWith(Partial, StringComparison.Ordinal)).OrderByDescending(Directory.GetLastWriteTimeUtc).FirstOrDefault();
        foreach (var directory in others.Where(directory => directory != before))
        {
            log($"removing {directory}");
            Directory.Delete(directory, recursive: true);
        }
    }

    // A store made by the operator holds directories named by 16 hexadecimal digits; a person's folder may hold anything.
    private static bool IsOurs(string directory)
    {
        var name = Path.GetFileName(directory);
        name = name.EndsWith(Partial, StringComparison.Ordinal) ? name[..^Partial.Length] : name;
        return name.Length == 16 && name.All(char.IsAsciiHexDigitLower);
    }

    private async Task<FileStream> LockAsync(string path, CancellationToken cancellationToken)
    {
        for (var first = true; ; first = false)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException error) when (error is not (DirectoryNotFoundException or PathTooLongException) && File.Exists(path))
            {
                if (first)
                    log($"waiting: another process fetches into {path[..^Lock.Length]}");
                await Task.Delay(TimeSpan.FromMilliseconds(500), time, cancellationToken).ConfigureAwait(false);
            }
        }
    }
}
