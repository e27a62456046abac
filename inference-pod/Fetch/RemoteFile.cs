using System.Net.Http.Headers;

namespace Moebius.Inference.Fetch;

/// <summary>How the bytes of a file are checked.</summary>
internal enum DigestKind
{
    /// <summary>SHA-256 of the bytes.</summary>
    Sha256,

    /// <summary>SHA-1 of git's blob header and the bytes.</summary>
    GitBlob,

    /// <summary>MD5 of the bytes; what S3 says of an object that was uploaded in one part. Guards against damage, not malice.</summary>
    Md5,
}

/// <summary>An expected digest.</summary>
/// <param name="Kind">Of what.</param>
/// <param name="Hex">Lower-case hexadecimal.</param>
internal sealed record Digest(DigestKind Kind, string Hex);

/// <summary>A file of a model that is somewhere else.</summary>
/// <param name="Name">Name inside the model directory, without folders.</param>
/// <param name="Url">Where it is; safe to show.</param>
/// <param name="Size">Bytes; null when nobody says.</param>
/// <param name="Digest">What its bytes must be; null when nobody says.</param>
/// <param name="Version">Another one when its bytes are others, where its origin says so (an entity tag); null otherwise.</param>
internal sealed record RemoteFile(string Name, Uri Url, long? Size, Digest? Digest, string? Version = null)
{
    private static readonly string[] Extensions = [".json", ".safetensors", ".jinja", ".txt", ".model"];

    /// <summary>Whether a model directory may need a file: weights in safetensors, configuration, tokenizer, template.</summary>
    /// <param name="path">Its path; files in folders are other formats and examples.</param>
    public static bool IsWanted(string path) =>
        path.Length > 0 && path[0] != '.' && !path.Contains('/', StringComparison.Ordinal) && !path.Any(char.IsControl) && Extensions.Contains(Path.GetExtension(path), StringComparer.Ordinal);

    /// <summary>A request for what is somewhere, from a byte on.</summary>
    public static HttpRequestMessage Get(Uri url, long from)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, url);
        if (from > 0)
            request.Headers.Range = new RangeHeaderValue(from, null);
        return request;
    }
}

/// <summary>Somewhere that models come from.</summary>
internal interface IModelOrigin
{
    /// <summary>For people.</summary>
    string Name { get; }

    /// <summary>What is written down beside a model that comes from here, and tells other origins from it: one line, without secrets.</summary>
    string Record { get; }

    /// <summary>The files of the model.</summary>
    /// <exception cref="Moebius.Crds.UserInputException">There is no such model, or it may not be read.</exception>
    Task<IReadOnlyList<RemoteFile>> ListAsync(CancellationToken cancellationToken);

    /// <summary>A request for a file from a byte on, with what proves who asks.</summary>
    HttpRequestMessage Request(RemoteFile file, long from);
}
