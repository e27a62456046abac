namespace Moebius.Crds.Generation;

/// <summary>The files that are generated from the types, by path, and their comparison with what is on disk.</summary>
internal static class GeneratedFiles
{
    private static readonly string OwnFiles = $"{ApiGroup.Name}_*.yaml";

    /// <summary>Content of every generated file.</summary>
    /// <param name="manifests">Folder of the definitions.</param>
    /// <param name="reference">Path of the API reference.</param>
    public static SortedDictionary<string, string> All(string manifests, string reference)
    {
        var docs = XmlDocs.Load();
        var files = new SortedDictionary<string, string>(StringComparer.Ordinal) { [reference] = ApiReference.Markdown(docs) };
        foreach (var kind in ResourceKinds.All)
            files[Path.Combine(manifests, $"{ApiGroup.Name}_{kind.Plural}.yaml")] = CrdGenerator.Yaml(kind, docs);
        return files;
    }

    /// <summary>Writes every file and removes definitions of kinds that are no more. Returns the paths that changed.</summary>
    public static IReadOnlyList<string> Write(string manifests, string reference)
    {
        var changes = Differences(manifests, reference);
        var files = All(manifests, reference);
        foreach (var path in changes)
        {
            if (files.TryGetValue(path, out var text))
            {
                Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
                File.WriteAllText(path, text);
            }
            else
            {
                File.Delete(path);
            }
        }

        return changes;
    }

    /// <summary>Paths whose file is missing, differs or should not be there.</summary>
    public static IReadOnlyList<string> Differences(string manifests, string reference)
    {
        var files = All(manifests, reference);
        var stale = Directory.Exists(manifests)
            ? Directory.EnumerateFiles(manifests, OwnFiles).Where(path => !files.ContainsKey(path))
            : [];
        return [.. files.Where(file => !File.Exists(file.Key) || File.ReadAllText(file.Key) != file.Value).Select(file => file.Key), .. stale];
    }
}
