using System.Runtime.CompilerServices;

namespace Moebius.Operator.Tests;

/// <summary>Files of the repository that tests read.</summary>
internal static class RepositoryFiles
{
    private static readonly string Root = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(ThisFile())!, "../.."));

    public static string At(string relative) => Path.Combine(Root, relative);

    private static string ThisFile([CallerFilePath] string path = "") => path;
}
