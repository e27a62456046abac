namespace Moebius.Tests;

/// <summary>Files of the repository that the tests run in.</summary>
internal static class RepositoryFiles
{
    /// <summary>The folder of Moebius.slnx.</summary>
    public static string Root { get; } = FindRoot();

    /// <param name="relative">A path below it.</param>
    public static string At(string relative) => Path.Combine(Root, relative);

    private static string FindRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Moebius.slnx")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException($"{AppContext.BaseDirectory} is not inside the repository");
        return folder;
    }
}
