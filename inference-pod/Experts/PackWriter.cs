using System.IO.Hashing;
using Moebius.Crds;
using Moebius.Crds.Host;

namespace Moebius.Inference.Experts;

/// <summary>
/// Writes a packed expert file: under another name until it is whole and on the device, then under its own. Memory is
/// that of one expert; the same model gives the same bytes.
/// </summary>
internal static class PackWriter
{
    /// <param name="path">The file to make; one that is there is replaced at the end.</param>
    /// <param name="catalog">The experts.</param>
    /// <param name="source">Where they come from.</param>
    /// <param name="fingerprint">Of the weights.</param>
    /// <param name="progress">Told how many experts are written.</param>
    /// <param name="stop">Ends early; nothing is left behind.</param>
    /// <exception cref="UserInputException">The file cannot be written: no room, no permission, another writer.</exception>
    public static void Write(string path, ExpertCatalog catalog, IExpertSource source, string fingerprint, Action<int>? progress, CancellationToken stop)
    {
        var pack = new ExpertPack(PackDescription.Of(catalog, fingerprint), new ulong[catalog.Count]);
        try
        {
            DurableFile.Replace(path, file =>
            {
                CheckRoom(path, pack.FileBytes);
                WriteExperts(file, catalog, source, pack, progress, stop);
                file.Position = 0;
                file.Write(pack.Head());
            });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserInputException($"{path}: cannot be written: {e.Message}", e);
        }
    }

    /// <summary>Says at the beginning, not after minutes, that there is no room. It takes none: another writer may be faster.</summary>
    private static void CheckRoom(string path, long bytes)
    {
        var free = new DriveInfo(Path.GetDirectoryName(Path.GetFullPath(path))!).AvailableFreeSpace;
        if (free < bytes)
            throw new IOException($"it needs {bytes} bytes and its file system has {free} left");
    }

    private static void WriteExperts(FileStream file, ExpertCatalog catalog, IExpertSource source, ExpertPack pack, Action<int>? progress, CancellationToken stop)
    {
        var buffer = new byte[catalog.Layout.Bytes];
        var index = 0;
        for (var layer = 0; layer < catalog.PerLayer.Count; layer++)
        {
            for (var expert = 0; expert < catalog.PerLayer[layer].Count; expert++)
            {
                stop.ThrowIfCancellationRequested();
                Array.Clear(buffer);
                source.Read(new ExpertKey(layer, expert), buffer);
                pack.Checksums[index] = XxHash3.HashToUInt64(buffer);
                file.Position = pack.Offset(index);
                file.Write(buffer);
                index++;
                progress?.Invoke(index);
            }
        }
    }
}
