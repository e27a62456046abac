using System.Runtime.CompilerServices;

namespace Moebius.Charts.Tests;

/// <summary>Files of the repository that tests read.</summary>
internal static class RepositoryFiles
{
    public static readonly string Root = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(ThisFile())!, "../.."));

    public static readonly string Chart = At("charts/moebius");

    public static readonly string CrdChart = At("charts/moebius-crds");

    public static string At(string relative) => Path.Combine(Root, relative);

    private static string ThisFile([CallerFilePath] string path = "") => path;
}
