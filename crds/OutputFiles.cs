using Moebius.Crds.Host;

namespace Moebius.Crds;

/// <summary>Files that a command is asked to write.</summary>
public static class OutputFiles
{
    /// <summary>Says before long work, rather than after it, that there is no folder for its result.</summary>
    /// <param name="option">The option that names the file, for errors.</param>
    /// <param name="path">The file.</param>
    /// <exception cref="UserInputException">Its folder does not exist.</exception>
    public static void CheckFolder(string option, string path)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(path));
        if (folder is not null && !Directory.Exists(folder))
            throw new UserInputException($"{option}: {path} cannot be written: there is no directory {folder}");
        if (Directory.Exists(path))
            throw new UserInputException($"{option}: {path} is a directory: name a file in it");
    }

    /// <summary>The same for a file that a new one will replace: a device or a pipe in its place would be gone.</summary>
    /// <param name="option">The option that names the file, for errors.</param>
    /// <param name="path">The file.</param>
    /// <exception cref="UserInputException">Its folder does not exist, or what is there is no file.</exception>
    public static void CheckReplaceable(string option, string path)
    {
        CheckFolder(option, path);
        if (FileKinds.IsSpecial(path))
            throw new UserInputException($"{option}: {path} is a device, a pipe or a socket: name a file");
    }

    /// <summary>Writes a text.</summary>
    /// <param name="option">The option that names the file, for errors.</param>
    /// <param name="path">The file.</param>
    /// <param name="text">All of it.</param>
    /// <exception cref="UserInputException">The file cannot be written.</exception>
    public static void Write(string option, string path, string text)
    {
        CheckFolder(option, path);
        try
        {
            File.WriteAllText(path, text);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new UserInputException($"{option}: {path} cannot be written: {error.Message}", error);
        }
    }
}
