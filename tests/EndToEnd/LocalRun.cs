using System.Diagnostics;

namespace Moebius.EndToEnd;

/// <summary>One local instance under a name of its own, with manifests derived from the quickstart.</summary>
internal sealed class LocalRun : IAsyncDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("moebius-test-").FullName;

    public string Name { get; } = "t" + Guid.NewGuid().ToString("N")[..12];

    /// <summary>The quickstart with some texts replaced.</summary>
    public string Manifest(params (string Old, string New)[] changes)
    {
        var text = File.ReadAllText(Path.Combine(RepositoryFiles.Root, "samples", "quickstart.yaml"));
        foreach (var (old, changed) in changes)
        {
            Assert.Contains(old, text, StringComparison.Ordinal);
            text = text.Replace(old, changed, StringComparison.Ordinal);
        }

        var file = Path.Combine(_directory, "manifest.yaml");
        File.WriteAllText(file, text);
        return file;
    }

    /// <summary>A writable copy of the demonstration model.</summary>
    public string CopyModel()
    {
        var target = Directory.CreateDirectory(Path.Combine(_directory, "austen-moe")).FullName;
        foreach (var file in Directory.GetFiles(Path.Combine(RepositoryFiles.Root, "samples", "models", "austen-moe")))
            File.Copy(file, Path.Combine(target, Path.GetFileName(file)));
        return target;
    }

    public string[] Up(string manifest, params string[] more) =>
        ["local", "up", "--name", Name, "-f", manifest, "--host-path", "/var/lib/moebius/models=" + Path.Combine(RepositoryFiles.Root, "samples", "models"), .. more];

    /// <summary>Command lines of the instance's processes that are still there.</summary>
    public IReadOnlyList<string> Processes()
    {
        var found = new List<string>();
        foreach (var process in Process.GetProcesses())
        {
            using (process)
            {
                try
                {
                    var line = File.ReadAllText($"/proc/{process.Id}/cmdline").Replace('\0', ' ');
                    if (line.Contains(Name, StringComparison.Ordinal))
                        found.Add(line);
                }
                catch (IOException)
                {
                    // Ended while we looked.
                }
            }
        }

        return found;
    }

    /// <summary>Directories and files that carry the instance's name.</summary>
    public IReadOnlyList<string> Files() =>
        [.. new[] { Path.GetTempPath(), "/dev/shm", Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") ?? Path.GetTempPath() }
            .Where(Directory.Exists)
            .SelectMany(root => Directory.EnumerateFileSystemEntries(root, $"*{Name}*"))
            .Distinct()];

    public async Task NothingIsLeftAsync()
    {
        await Eventually.TrueAsync(() => Processes().Count == 0);
        await Eventually.TrueAsync(() => Files().Count == 0);
    }

    public async ValueTask DisposeAsync()
    {
        await MoebiusProcess.RunAsync("local", "down", "--name", Name);
        Directory.Delete(_directory, recursive: true);
    }
}
