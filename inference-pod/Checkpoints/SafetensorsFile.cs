using Microsoft.Win32.SafeHandles;
using Moebius.Crds;

namespace Moebius.Inference.Checkpoints;

/// <summary>
/// One open safetensors file. Reads are positioned (<c>pread</c>), from any thread. They are not a memory map: a
/// mapping whose file is truncated while a server runs kills the process with SIGBUS, a positioned read is an error
/// that names the tensor; and a mapping's pages would count as resident beside the expert budget.
/// </summary>
internal sealed class SafetensorsFile : IDisposable
{
    private readonly SafeFileHandle _handle;

    private SafetensorsFile(string path, SafeFileHandle handle, IReadOnlyList<TensorEntry> entries, byte[] header)
    {
        Path = path;
        Header = header;
        _handle = handle;
        Entries = entries;
    }

    public string Path { get; }

    /// <summary>The JSON header's bytes, part of a model's identity.</summary>
    public byte[] Header { get; }

    /// <summary>All tensors, by offset.</summary>
    public IReadOnlyList<TensorEntry> Entries { get; }

    public static SafetensorsFile Open(string path)
    {
        SafeFileHandle handle;
        try
        {
            handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read, FileOptions.RandomAccess);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserInputException($"{path}: cannot be opened ({e.Message})", e);
        }
        try
        {
            long bytes = RandomAccess.GetLength(handle);
            byte[] prefix = new byte[SafetensorsHeader.PrefixBytes];
            int read = RandomAccess.Read(handle, prefix, 0);
            int length = SafetensorsHeader.ReadLength(path, prefix.AsSpan(0, read), bytes);
            byte[] header = new byte[length];
            ReadFully(handle, path, header, SafetensorsHeader.PrefixBytes, "header");
            return new SafetensorsFile(path, handle, SafetensorsHeader.Parse(path, header, bytes), header);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Reads bytes [start, start + destination) of a tensor.</summary>
    public void Read(TensorEntry entry, long start, Span<byte> destination)
    {
        if (start < 0 || start + destination.Length > entry.Length)
            throw new ArgumentOutOfRangeException(nameof(start), start, $"tensor {entry.Name} has {entry.Length} bytes");
        ReadFully(_handle, Path, destination, entry.Offset + start, entry.Name);
    }

    public void Dispose() => _handle.Dispose();

    private static void ReadFully(SafeFileHandle handle, string path, Span<byte> destination, long offset, string what)
    {
        while (!destination.IsEmpty)
        {
            int read = RandomAccess.Read(handle, destination, offset);
            if (read == 0)
                throw new IOException($"{path}: {what}: the file ended at byte {offset}; it was truncated after it was opened");
            destination = destination[read..];
            offset += read;
        }
    }
}
