using System.IO.Compression;
using System.Security.Cryptography;

namespace Moebius.Images;

/// <summary>Content that is addressed by its digest.</summary>
/// <param name="Digest">As <c>sha256:HEX</c>.</param>
/// <param name="Size">Bytes.</param>
internal sealed record Blob(string Digest, long Size);

/// <summary>A layer as a blob.</summary>
/// <param name="Compressed">The blob.</param>
/// <param name="DiffId">Digest of the archive before compression.</param>
/// <param name="ArchiveSize">Bytes of the archive before compression.</param>
/// <param name="CreatedBy">What it holds.</param>
internal sealed record Layer(Blob Compressed, string DiffId, long ArchiveSize, string CreatedBy);

/// <summary>The folder of blobs of an OCI layout.</summary>
internal sealed class BlobStore
{
    private readonly string _folder;

    public BlobStore(string layout)
    {
        _folder = Path.Combine(layout, "blobs/sha256");
        Directory.CreateDirectory(_folder);
    }

    public string PathOf(Blob blob) => Path.Combine(_folder, blob.Digest["sha256:".Length..]);

    public async Task<Blob> AddAsync(byte[] content, CancellationToken cancellationToken)
    {
        var blob = new Blob(DigestOf(SHA256.HashData(content)), content.Length);
        await File.WriteAllBytesAsync(PathOf(blob), content, cancellationToken);
        return blob;
    }

    /// <summary>Writes a layer as a gzip-compressed archive.</summary>
    public async Task<Layer> AddLayerAsync(string createdBy, LayerContent content, CancellationToken cancellationToken)
    {
        var part = Path.Combine(_folder, "part");
        using var compressedHash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var archiveHash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        long compressedSize;
        long archiveSize;
        await using (var file = new HashingStream(File.Create(part), compressedHash))
        {
            await using (var archive = new HashingStream(new GZipStream(file, CompressionLevel.Optimal, leaveOpen: true), archiveHash))
            {
                await content.WriteAsync(archive, cancellationToken);
                archiveSize = archive.Written;
            }

            compressedSize = file.Written;
        }

        var blob = new Blob(DigestOf(compressedHash.GetHashAndReset()), compressedSize);
        File.Move(part, PathOf(blob), overwrite: true);
        return new Layer(blob, DigestOf(archiveHash.GetHashAndReset()), archiveSize, createdBy);
    }

    private static string DigestOf(byte[] hash) => "sha256:" + Convert.ToHexStringLower(hash);
}
