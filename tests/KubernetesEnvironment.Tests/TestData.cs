using System.Runtime.CompilerServices;

namespace Moebius.KubernetesEnvironment.Tests;

/// <summary>Files beside the tests' sources.</summary>
internal static class TestData
{
    public static string Path(string relative, [CallerFilePath] string here = "") =>
        System.IO.Path.Combine(System.IO.Path.GetDirectoryName(here)!, relative);
}
