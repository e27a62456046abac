namespace Moebius.Cxl.Tests;

/// <summary>
/// A sysfs tree made from a text: <c>path = value</c> writes a file (| is a line break), <c>path -> target</c> a symbolic
/// link, <c>path/</c> a directory. Lines that start with # are comments.
/// </summary>
internal sealed class SysfsFixture : IDisposable
{
    public SysfsFixture(string name, params string[] more)
    {
        var file = Path.Combine(AppContext.BaseDirectory, "Fixtures", name + ".sysfs");
        foreach (var line in File.ReadAllLines(file).Concat(more))
            Add(line);
    }

    public string Root { get; } = Directory.CreateTempSubdirectory("moebius-sysfs-").FullName;

    public string this[string path] => File.ReadAllText(Path.Combine(Root, path)).Trim();

    public void Add(string line)
    {
        if (line.Length == 0 || line[0] == '#')
            return;
        if (line.Split(" -> ") is [var link, var target])
        {
            Create(link);
            File.CreateSymbolicLink(Path.Combine(Root, link), target);
        }
        else if (line.IndexOf(" =", StringComparison.Ordinal) is > 0 and var split)
        {
            Create(line[..split]);
            File.WriteAllText(Path.Combine(Root, line[..split]), line[(split + 2)..].Trim().Replace('|', '\n') + "\n");
        }
        else
        {
            Directory.CreateDirectory(Path.Combine(Root, line));
        }
    }

    public void Dispose() => Directory.Delete(Root, recursive: true);

    private void Create(string path) => Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(Root, path))!);
}
