namespace Moebius.Crds.Validation;

/// <summary>Writes what <c>moebius validate</c> finds in a file.</summary>
internal static class ManifestReport
{
    /// <summary>Checks every document of a file; errors go to <paramref name="error"/>, one a line. False when there are any.</summary>
    /// <exception cref="UserInputException">The file cannot be read or is not YAML.</exception>
    public static bool Write(string path, TextWriter output, TextWriter error)
    {
        var documents = Manifests.ParseDocuments(Manifests.ReadText(path), path);
        if (documents.Count == 0)
            throw new UserInputException($"{path}: no document: expected resources of {ApiGroup.Name}/{ApiGroup.Version}");
        var valid = true;
        for (var index = 0; index < documents.Count; index++)
        {
            var document = documents[index];
            var name = $"{path}: document {index + 1}: {ValueText.Plain(document["kind"])}/{ValueText.Plain((document["metadata"] as System.Text.Json.Nodes.JsonObject)?["name"])}";
            if (!ManifestValidator.IsMoebius(document))
            {
                output.WriteLine($"{name}: not checked: {(document["apiVersion"] is { } version ? $"apiVersion {ValueText.Of(version)} is" : "there is no apiVersion, so it is")} not of {ApiGroup.Name}");
                continue;
            }

            var errors = ManifestValidator.Validate(document);
            foreach (var problem in errors)
                error.WriteLine($"{name}: {problem}");
            if (errors.Count == 0)
                output.WriteLine($"{name}: valid");
            valid &= errors.Count == 0;
        }

        return valid;
    }
}
