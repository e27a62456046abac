using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using Moebius.Crds;

namespace Moebius.Inference.Fetch;

/// <summary>
/// Brings files here: goes on where a broken download stopped, checks sizes and digests, and gives a file its name only
/// when it is whole.
/// </summary>
internal sealed class Downloader(HttpClient http, TimeProvider time, Action<string> log)
{
    /// <summary>What the name of a file ends with until it is whole.</summary>
    public const string Part = ".part";

    /// <summary>Attempts at one file that bring nothing new.</summary>
    private const int Attempts = 5;

    private const int BufferBytes = 1 << 20;

    /// <summary>Downloads a file unless it is there.</summary>
    /// <exception cref="UserInputException">Its bytes are not what they should be, or it may not be read.</exception>
    /// <exception cref="HttpRequestException">It did not come after several attempts.</exception>
    public async Task DownloadAsync(IModelOrigin origin, RemoteFile file, string path, CancellationToken cancellationToken)
    {
        if (File.Exists(path))
            return;
        var part = path + Part;
        for (var failures = 0; ;)
        {
            var before = Length(part);
            try
            {
                await ContinueAsync(origin, file, part, cancellationToken).ConfigureAwait(false);
                break;
            }
            catch (HttpRequestException error)
            {
                failures = Length(part) > before ? 1 : failures + 1;
                if (failures >= Attempts)
                    throw new HttpRequestException($"{file.Name}: {error.Message}", error);
                var delay = TimeSpan.FromSeconds(Math.Pow(2, failures - 1));
                log($"{file.Name}: {error.Message}; going on in {delay.TotalSeconds.ToString(CultureInfo.InvariantCulture)} s at byte {Length(part).ToString(CultureInfo.InvariantCulture)}");
                await Task.Delay(delay, time, cancellationToken).ConfigureAwait(false);
            }
        }

        await CheckAsync(file, part, cancellationToken).ConfigureAwait(false);
        File.Move(part, path);
    }

    private async Task ContinueAsync(IModelOrigin origin, RemoteFile file, string part, CancellationToken cancellationToken)
    {
        var from = Length(part);
        if (file.Size is { } whole && from == whole)
            return;
        if (from > file.Size)
            from = 0;
        using var request = origin.Request(file, from);
        using var response = await Answers.OpenAsync(http, request, cancellationToken).ConfigureAwait(false);
        if (response.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable)
        {
            // Of an archive nobody says the length beforehand: all of it was here when the process ended.
            if (response.Content.Headers.ContentRange?.Length == from)
                return;
            File.Delete(part);
            throw new HttpRequestException("the file has changed; beginning again");
        }

        Answers.Check(response, request, origin.Name);
        // A server that does not know ranges sends everything.
        if (response.StatusCode != HttpStatusCode.PartialContent)
            from = 0;
        using var target = new FileStream(part, from == 0 ? FileMode.Create : FileMode.Append, FileAccess.Write, FileShare.None, BufferBytes, useAsync: true);
        using var source = await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        var piece = new byte[BufferBytes];
        while (await Stalls.ReadAsync(source, piece, time, cancellationToken).ConfigureAwait(false) is > 0 and var read)
            await target.WriteAsync(piece.AsMemory(0, read), cancellationToken).ConfigureAwait(false);
        await target.FlushAsync(cancellationToken).ConfigureAwait(false);
        target.Flush(flushToDisk: true);
        if (response.Content.Headers.ContentLength is { } expected && target.Length - from < expected)
            throw new HttpRequestException("the connection ended early");
    }

    private static async Task CheckAsync(RemoteFile file, string part, CancellationToken cancellationToken)
    {
        var length = Length(part);
        if (file.Size is { } size && length != size)
            Refuse(part, $"{file.Name}: has {length} bytes, and should have {size}");
        if (file.Digest is not { } digest)
            return;
        var actual = await HashAsync(part, digest.Kind, length, cancellationToken).ConfigureAwait(false);
        if (actual != digest.Hex)
            Refuse(part, $"{file.Name}: {digest.Kind} is {actual}, and should be {digest.Hex}: the file was changed on the way or at its source; correct the checksum if the change was meant");
    }

    private static void Refuse(string part, string message)
    {
        File.Delete(part);
        throw new UserInputException(message);
    }

#pragma warning disable CA5350, CA5351 // The other side chose these digests.
    private static async Task<string> HashAsync(string path, DigestKind kind, long length, CancellationToken cancellationToken)
    {
        using var hash = IncrementalHash.CreateHash(kind switch { DigestKind.Sha256 => HashAlgorithmName.SHA256, DigestKind.GitBlob => HashAlgorithmName.SHA1, _ => HashAlgorithmName.MD5 });
        if (kind == DigestKind.GitBlob)
            hash.AppendData(Encoding.ASCII.GetBytes($"blob {length.ToString(CultureInfo.InvariantCulture)}\0"));
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, BufferBytes, useAsync: true);
        var buffer = new byte[BufferBytes];
        while (await stream.ReadAsync(buffer, cancellationToken).ConfigureAwait(false) is > 0 and var read)
            hash.AppendData(buffer, 0, read);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
#pragma warning restore CA5350, CA5351

    private static long Length(string path) => File.Exists(path) ? new FileInfo(path).Length : 0;
}
