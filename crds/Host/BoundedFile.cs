namespace Moebius.Crds.Host;

/// <summary>Reads files that somebody names on a command line: one without an end, such as a device, must not fill the memory.</summary>
public static class BoundedFile
{
    /// <summary>The bytes of a file or a pipe.</summary>
    /// <param name="path">The file.</param>
    /// <param name="mostMebibytes">Most MiB that it may have.</param>
    /// <exception cref="UserInputException">It has more.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static byte[] Read(string path, int mostMebibytes)
    {
        using var file = File.OpenRead(path);
        return Read(file, path, mostMebibytes);
    }

    /// <summary>The bytes of a stream up to its end.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="name">What it is, for messages.</param>
    /// <param name="mostMebibytes">Most MiB that it may have.</param>
    /// <exception cref="UserInputException">It has more.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static byte[] Read(Stream stream, string name, int mostMebibytes)
    {
        var bytes = new MemoryStream();
        var buffer = new byte[1 << 16];
        for (int count; (count = stream.Read(buffer)) > 0;)
        {
            bytes.Write(buffer, 0, count);
            if (bytes.Length > (long)mostMebibytes << 20)
                throw new UserInputException($"{name}: has more than {mostMebibytes} MiB: split it");
        }

        return bytes.ToArray();
    }
}
