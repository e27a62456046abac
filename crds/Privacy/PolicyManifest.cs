using System.Text.Json.Nodes;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;

namespace Moebius.Crds.Privacy;

/// <summary>Reads the file with the policy that the cache and the engine mount.</summary>
/// <remarks>For both, so that neither takes a file that the other refuses.</remarks>
public static class PolicyManifest
{
    /// <summary>Reads the text of a manifest.</summary>
    /// <param name="yaml">The text.</param>
    /// <param name="source">File name, for messages.</param>
    /// <returns>The policy; every field of its <c>spec</c> is valid by itself and with the others, and its public texts are written out.</returns>
    /// <exception cref="UserInputException">Not exactly one KVPrivacyPolicy, a document that is no resource, or a field that cannot be honoured.</exception>
    public static KVPrivacyPolicy Parse(string yaml, string source)
    {
        var documents = Manifests.ParseDocuments(yaml, source);
        var policy = Manifests.Convert<KVPrivacyPolicy>(Only(documents, source), source);
        // A half-written file must not say that nobody's tenants are signed.
        if (policy.Spec is null)
            throw new UserInputException($"{source}: spec: required field missing");
        SpecCheck.Require(policy.Spec, "spec", source);
        foreach (var (index, prefix) in (policy.Spec.PublicPrefixes ?? []).Index())
        {
            if (prefix.ConfigMapRef is not null)
                throw new UserInputException($"{source}: spec.publicPrefixes[{index}].configMapRef: a ConfigMap can only be read in the cluster; write the text itself in spec.publicPrefixes[{index}].text");
        }

        return policy;
    }

    /// <summary>The policy among the documents; a file of manifests may hold other resources, but nothing that could be meant as a policy.</summary>
    private static JsonObject Only(IReadOnlyList<JsonObject> documents, string source)
    {
        if (documents.Count == 0)
            throw new UserInputException($"{source}: 0 YAML documents, expected exactly one {KVPrivacyPolicy.KindName}");
        if (documents.Count == 1)
        {
            Expect(documents[0], "apiVersion", ApiGroup.ApiVersion, source);
            Expect(documents[0], "kind", KVPrivacyPolicy.KindName, source);
            return documents[0];
        }

        foreach (var (index, document) in documents.Index())
        {
            if (ManifestValidator.MistakenIdentity(document) is { } mistake)
                throw new UserInputException($"{source}: document {index + 1}: {mistake}");
        }

        var policies = documents.Where(document => ManifestValidator.IsMoebius(document) && (string?)document["kind"] == KVPrivacyPolicy.KindName).ToList();
        return policies.Count == 1
            ? policies[0]
            : throw new UserInputException($"{source}: {policies.Count} of {documents.Count} documents are a {KVPrivacyPolicy.KindName}, expected exactly one");
    }

    private static void Expect(JsonObject document, string field, string value, string source)
    {
        if (document[field] is not JsonValue found || !found.TryGetValue<string>(out var text) || text != value)
            throw new UserInputException($"{source}: {field}: {(document.ContainsKey(field) ? ValueText.Of(document[field]) : "missing")}, must be {value}");
    }
}
