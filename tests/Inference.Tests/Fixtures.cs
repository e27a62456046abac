namespace Moebius.Inference.Tests;

/// <summary>Files that tests read.</summary>
internal static class Fixtures
{
    /// <summary>The demonstration model's tokenizer and template, without its weights.</summary>
    public static string Model { get; } = Path.Combine(AppContext.BaseDirectory, "austen-moe");
}

/// <summary>A folder that goes when the test ends.</summary>
internal sealed class TemporaryDirectory : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("moebius-test-").FullName;

    public void Dispose() => Directory.Delete(Path, true);
}
