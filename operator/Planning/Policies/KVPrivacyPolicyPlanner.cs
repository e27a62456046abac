using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;
using Moebius.Operator.Planning.Validation;

namespace Moebius.Operator.Planning.Policies;

/// <summary>
/// Renders a KVPrivacyPolicy into the ConfigMap that sidecars mount. The kubelet updates mounted ConfigMaps in place,
/// so a change reaches running pods and rolls nothing.
/// </summary>
public static class KVPrivacyPolicyPlanner
{
    /// <summary>The key that holds the policy.</summary>
    public const string Key = PodPaths.PolicyFile;

    /// <summary>Plans the ConfigMap of a policy.</summary>
    /// <param name="policy">The policy.</param>
    /// <param name="configMaps">ConfigMaps of its namespace that it refers to, by name; missing ones are absent.</param>
    public static Plan Plan(KVPrivacyPolicy policy, IReadOnlyDictionary<string, V1ConfigMap> configMaps)
    {
        var problems = Problems(policy).ToList();
        var prefixes = new List<PublicPrefix>();
        if (!problems.Any(problem => problem.Blocks))
        {
            foreach (var prefix in policy.Spec.PublicPrefixes ?? [])
            {
                if (Resolve(prefix, configMaps, out var missing) is { } resolved)
                    prefixes.Add(resolved);
                else
                    problems.Add(new Problem(Reasons.ConfigMapNotFound, missing, Blocks: true));
            }
        }

        if (problems.Any(problem => problem.Blocks))
            return Planning.Plan.Blocked(problems, []);

        var child = new ChildBuilder(policy, Components.PrivacyPolicy, policy.Metadata.NamespaceProperty);
        var data = new Dictionary<string, string> { [Key] = Render(policy, prefixes) };
        return new Plan([child.ConfigMap(Names.Policy(policy.Metadata.Name), data)], problems, []);
    }

    /// <summary>Names of the ConfigMaps that a policy refers to, sorted.</summary>
    public static IReadOnlyList<string> ConfigMaps(KVPrivacyPolicy policy) =>
        [.. (policy.Spec?.PublicPrefixes ?? []).Select(prefix => prefix?.ConfigMapRef?.Name).OfType<string>().Distinct().Order(StringComparer.Ordinal)];

    /// <summary>What is wrong with a policy, references aside.</summary>
    internal static IEnumerable<Problem> Problems(KVPrivacyPolicy policy)
    {
        var errors = NameCheck.Errors(policy.Metadata.Name, NameCheck.LabelLength).Concat(SpecCheck.Errors(policy.Spec, "spec").Select(error => error.ToString())).ToList();
        if (errors.Count == 0)
            errors.AddRange(ExpressionErrors(policy.Spec).Concat(EndpointErrors(policy.Spec)));
        return errors.Select(error => new Problem(Reasons.InvalidSpec, error, Blocks: true));
    }

    /// <summary>The policy of pods that refer to none: everything stays private to its tenant.</summary>
    internal static string RenderDefault(string name, string @namespace) => Render(
        new KVPrivacyPolicy
        {
            Metadata = new V1ObjectMeta { Name = name, NamespaceProperty = @namespace },
            Spec = new KVPrivacyPolicySpec { Mode = SharingMode.Isolate },
        },
        []);

    private static string Render(KVPrivacyPolicy policy, List<PublicPrefix> prefixes)
    {
        var source = policy.Spec;
        return Manifests.ToYaml(new KVPrivacyPolicy
        {
            // The generation tells apart what sidecars run; everything else of the metadata is noise to them.
            Metadata = new V1ObjectMeta { Name = policy.Metadata.Name, NamespaceProperty = policy.Metadata.NamespaceProperty, Generation = policy.Metadata.Generation ?? 0 },
            Spec = new KVPrivacyPolicySpec
            {
                Mode = source.Mode,
                Identity = source.Identity,
                PublicPrefixes = prefixes.Count == 0 ? null : prefixes,
                Rules = source.Rules,
                Classifier = source.Classifier,
                ContextCheck = source.ContextCheck,
                Promotion = source.Promotion,
                Monitor = source.Monitor,
                Encryption = source.Encryption,
                Retention = source.Retention,
            },
        });
    }

    private static PublicPrefix? Resolve(PublicPrefix prefix, IReadOnlyDictionary<string, V1ConfigMap> configMaps, out string missing)
    {
        missing = "";
        if (prefix.ConfigMapRef is not { } reference)
            return prefix;
        var field = $"spec.publicPrefixes[{prefix.Name}].configMapRef";
        if (!configMaps.TryGetValue(reference.Name, out var map))
            missing = $"{field}.name: there is no ConfigMap '{reference.Name}' in this namespace: make it or name one that exists";
        else if (map.Data is null || !map.Data.TryGetValue(reference.Key, out var text))
            missing = $"{field}.key: ConfigMap '{reference.Name}' has no key '{reference.Key}': it has {(map.Data is { Count: > 0 } ? string.Join(", ", map.Data.Keys.Order(StringComparer.Ordinal)) : "none")}";
        else
            return new PublicPrefix { Name = prefix.Name, Text = text };
        return null;
    }

    private static IEnumerable<string> ExpressionErrors(KVPrivacyPolicySpec spec) =>
        (spec.Rules.Custom ?? []).SelectMany(rule => NameCheck.Catch(() => RuleExpression.Compile(rule, $"spec.rules.custom[{rule.Name}]")));

    private static IEnumerable<string> EndpointErrors(KVPrivacyPolicySpec spec) =>
        spec.ContextCheck is { Endpoint: var endpoint } ? NameCheck.Catch(() => EndpointUrl.Parse(endpoint, "spec.contextCheck.endpoint")) : [];
}
