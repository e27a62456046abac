using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Moebius.Crds.Host;

/// <summary>What a path names, where .NET does not say: it takes pipes and devices for files.</summary>
public static partial class FileKinds
{
    private const int WorkingDirectory = -100, FollowLinks = 0, KindOnly = 1, BufferBytes = 256, ModeOffset = 28;
    private const int KindMask = 0xF000, Regular = 0x8000;

    /// <summary>Whether something is there, behind all links, that is neither a file nor a directory: a pipe, a device or a socket.</summary>
    /// <param name="path">The path.</param>
    /// <returns>True for such; false for files, directories and nothing, and where the system does not tell.</returns>
    public static bool IsSpecial(string path)
    {
        Span<byte> buffer = stackalloc byte[BufferBytes];
        return !Directory.Exists(path)
            && GetStatus(WorkingDirectory, path, FollowLinks, KindOnly, ref MemoryMarshal.GetReference(buffer)) == 0
            && (BinaryPrimitives.ReadUInt16LittleEndian(buffer[ModeOffset..]) & KindMask) != Regular;
    }

    /// <summary>Reads a file that is part of a model. A pipe in its place would be waited for until somebody writes into it.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="UserInputException">It is no file.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static byte[] ReadAllBytes(string path) =>
        IsSpecial(path) ? throw new UserInputException($"{path}: is a device, a pipe or a socket; a file is needed") : File.ReadAllBytes(path);

    /// <summary>Unlike <c>stat</c>, the same structure on every processor.</summary>
    [LibraryImport("libc", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int GetStatus(int directory, string path, int flags, uint mask, ref byte buffer);
}
