using Microsoft.Win32.SafeHandles;

namespace Moebius.Inference.Storage;

/// <summary>Positioned reads through the page cache.</summary>
internal sealed class BufferedFile(string path, SafeFileHandle handle, string access) : StoredFile(path, handle)
{
    public override string Access => access;

    public override void Read(long offset, Span<byte> destination, string what)
    {
        while (!destination.IsEmpty)
        {
            var read = RandomAccess.Read(Handle, destination, offset);
            if (read == 0)
                throw Truncated(what, offset);
            destination = destination[read..];
            offset += read;
        }
    }
}
