using System.Text.Json.Nodes;

namespace Moebius.Crds.Validation;

/// <summary>What is wrong with resources, each valid by its schema, beside each other.</summary>
/// <param name="resources">Instances of the types in <see cref="ResourceKinds"/>.</param>
/// <returns>A resource and what is wrong with it, once for each fault.</returns>
public delegate IEnumerable<(object Resource, string Problem)> ResourceCheck(IReadOnlyList<object> resources);

/// <summary>Writes what <c>moebius validate</c> finds in files.</summary>
internal static class ManifestReport
{
    /// <summary>Checks every document; errors and warnings go to <paramref name="error"/>, one a line. False when there are errors.</summary>
    /// <exception cref="UserInputException">A file cannot be read or is not YAML, or there is no resource of Moebius in any.</exception>
    public static bool Write(IReadOnlyList<string> paths, ResourceCheck check, TextWriter output, TextWriter error)
    {
        var entries = paths.SelectMany(Read).ToList();
        var problems = check([.. entries.Select(entry => entry.Resource).OfType<object>()]).ToLookup(found => found.Resource, found => found.Problem, ReferenceEqualityComparer.Instance);
        foreach (var entry in entries)
        {
            if (entry.Resource is { } resource)
                entry.Errors.AddRange(problems[resource]);
            foreach (var advice in entry is { Resource: { } valid, Errors.Count: 0 } ? Advice.Of(valid) : [])
                error.WriteLine($"{entry.Name}: warning: {advice}");
            foreach (var problem in entry.Errors)
                error.WriteLine($"{entry.Name}: {problem}");
            if (entry.Errors.Count == 0)
                output.WriteLine($"{entry.Name}: {entry.Skipped ?? "valid"}");
        }

        // A check that looked at nothing must not pass.
        return entries.All(entry => entry is { Skipped: not null, Errors.Count: 0 })
            ? throw new UserInputException($"{string.Join(", ", entries.Select(entry => entry.Source).Distinct())}: nothing was checked: expected resources of {ApiGroup.ApiVersion}")
            : entries.All(entry => entry.Errors.Count == 0);
    }

    private static IEnumerable<Entry> Read(string path)
    {
        var (text, source) = Manifests.ReadArgument(path);
        var documents = Manifests.ParseDocuments(text, source);
        if (documents.Count == 0)
            throw new UserInputException($"{source}: no document: expected resources of {ApiGroup.ApiVersion}");
        return documents.Select((document, index) => Read(document, source, $"{source}: document {index + 1}: {ValueText.Plain(document["kind"])}/{ValueText.Plain((document["metadata"] as JsonObject)?["name"])}"));
    }

    private static Entry Read(JsonObject document, string source, string name)
    {
        if (!ManifestValidator.IsMoebius(document))
        {
            return ManifestValidator.MistakenIdentity(document) is { } mistake
                ? new Entry(source, name, [mistake.ToString()], null, null)
                : new Entry(source, name, [], null, $"not checked: apiVersion {ValueText.Of(document["apiVersion"])} is not of {ApiGroup.Name}");
        }

        var errors = ManifestValidator.Validate(document);
        return new Entry(source, name, [.. errors.Select(one => one.ToString())], errors.Count == 0 ? ManifestValidator.LoadResource(document, name) : null, null);
    }

    /// <summary>A document.</summary>
    /// <param name="Source">The file.</param>
    /// <param name="Name">Where it stands and what it is.</param>
    /// <param name="Errors">What is wrong with it.</param>
    /// <param name="Resource">It as its type; null when it is none that is valid.</param>
    /// <param name="Skipped">Why it is not checked; null: it is.</param>
    private sealed record Entry(string Source, string Name, List<string> Errors, object? Resource, string? Skipped);
}
