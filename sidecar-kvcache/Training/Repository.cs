using Moebius.Crds;

namespace Moebius.KvCache.Training;

/// <summary>Where the sources are.</summary>
internal static class Repository
{
    /// <summary>The folder of public-domain prose.</summary>
    public static string Prose { get; } = Path.Combine(Root(), "tests", "KvCache.Tests", "Data");

    /// <summary>The folder of templates.</summary>
    public static string Corpus { get; } = Path.Combine(Root(), "sidecar-kvcache", "Training", "Corpus");

    private static string Root()
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (directory is not null && !File.Exists(Path.Combine(directory.FullName, "Moebius.slnx")))
            directory = directory.Parent;
        return directory?.FullName ?? throw new UserInputException("this program runs inside the repository only");
    }
}
