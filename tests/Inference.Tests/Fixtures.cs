namespace Moebius.Inference.Tests;

/// <summary>Files that tests read.</summary>
internal static class Fixtures
{
    /// <summary>The demonstration model's tokenizer and template, without its weights.</summary>
    public static string Model { get; } = Path.Combine(AppContext.BaseDirectory, "austen-moe");

    /// <summary>Its tokenizer with another template, in a folder.</summary>
    public static string WithTemplate(TemporaryDirectory directory, string template)
    {
        foreach (var file in new[] { "tokenizer.json", "tokenizer_config.json" })
            File.Copy(Path.Combine(Model, file), Path.Combine(directory.Path, file), overwrite: true);
        File.WriteAllText(Path.Combine(directory.Path, "chat_template.jinja"), template);
        return directory.Path;
    }
}

/// <summary>A folder that goes when the test ends.</summary>
internal sealed class TemporaryDirectory : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("moebius-test-").FullName;

    public void Dispose() => Directory.Delete(Path, true);
}
