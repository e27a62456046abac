using System.Security.Cryptography;
using System.Text;
using Moebius.Crds;
using Moebius.Crds.Privacy;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;
using Moebius.KvCache.Detection;

namespace Moebius.KvCache.Policy;

/// <summary>Turns a KVPrivacyPolicy into what the cache works with, or refuses it by field. Pure.</summary>
internal static class PolicyCompiler
{
    /// <summary>What holds where no policy is mounted: nothing is shared.</summary>
    public static CompiledPolicy Default { get; } = Compile(new KVPrivacyPolicySpec(), 0, "default policy");

    /// <summary>Reads a manifest.</summary>
    /// <exception cref="UserInputException">Unreadable, not a KVPrivacyPolicy, or a field that cannot be honoured.</exception>
    public static CompiledPolicy Load(string path) => Parse(Manifests.ReadText(path), path);

    /// <summary>Reads the text of a manifest.</summary>
    /// <exception cref="UserInputException">Not a KVPrivacyPolicy, or a field that cannot be honoured.</exception>
    public static CompiledPolicy Parse(string yaml, string source)
    {
        var policy = PolicyManifest.Parse(yaml, source);
        return Compile(policy.Spec, policy.Metadata?.Generation ?? 0, source);
    }

    /// <summary>Compiles a spec that <see cref="PolicyManifest"/> would take.</summary>
    /// <exception cref="UserInputException">A field that cannot be honoured.</exception>
    public static CompiledPolicy Compile(KVPrivacyPolicySpec spec, long generation, string source)
    {
        var window = Durations.ParsePositive(spec.Monitor.Window, $"{source}: spec.monitor.window");
        var warnings = new List<string>();
        var detector = Detector.Create(spec.Rules, $"{source}: spec.rules");
        var prefixes = (spec.PublicPrefixes ?? []).Select(prefix => new DeclaredPrefix(prefix.Name, prefix.Text!)).ToArray();
        foreach (var prefix in prefixes)
        {
            var kinds = detector.Scan(prefix.Text).Select(finding => finding.Kind).Distinct().ToArray();
            if (kinds.Length > 0)
                warnings.Add($"public prefix '{prefix.Name}' contains what the rules call private ({string.Join(", ", kinds)}); it is shared because it is declared public");
        }

        if (spec.Mode != SharingMode.SafeKV && prefixes.Length > 0)
            warnings.Add($"publicPrefixes have no effect in mode {spec.Mode}");
        if (spec.Mode == SharingMode.Share)
            warnings.Add("mode Share lets every tenant learn what others asked");

        return new CompiledPolicy
        {
            Mode = spec.Mode,
            Prefixes = prefixes,
            Detector = detector,
            Classifier = new ClassifierSettings(
                spec.Classifier.Type, spec.Classifier.Onnx?.Path ?? "", spec.Classifier.PublicBelowPercent / 100d, spec.Classifier.PrivateAbovePercent / 100d),
            ContextCheck = spec.ContextCheck is { } check
                ? new ContextCheckSettings(
                    EndpointUrl.Parse(check.Endpoint, $"{source}: spec.contextCheck.endpoint").AbsoluteUri,
                    check.Endpoint.Model,
                    check.Endpoint.ApiKeySecretRef is not null,
                    Durations.ParsePositive(check.Endpoint.Timeout, $"{source}: spec.contextCheck.endpoint.timeout"),
                    check.CacheSize)
                : null,
            Clearance = Clearance(spec, Program),
            BatchSize = spec.Promotion.BatchSize,
            MaxDelay = Durations.Parse(spec.Promotion.MaxDelay, $"{source}: spec.promotion.maxDelay"),
            Monitor = new MonitorSettings(
                spec.Monitor.Enabled,
                window,
                spec.Monitor.MinHits,
                spec.Monitor.HitJumpPercent,
                spec.Monitor.ReuseDiversityPercent,
                spec.Monitor.Demote,
                Durations.Parse(spec.Monitor.IsolateFor, $"{source}: spec.monitor.isolateFor")),
            PrivateIdle = Durations.ParsePositive(spec.Retention.PrivateIdle, $"{source}: spec.retention.privateIdle"),
            PublicIdle = Durations.ParsePositive(spec.Retention.PublicIdle, $"{source}: spec.retention.publicIdle"),
            MaxTenantPercent = spec.Retention.MaxTenantPercent,
            HasEncryption = spec.Encryption is not null,
            SharePrivate = spec.Encryption?.SharePrivate ?? false,
            Generation = generation,
            Warnings = warnings,
        };
    }

    /// <summary>
    /// Identifies the rules and the built-in model of this program: they are all in these two files. So what another version, or
    /// another build of it, cleared is not trusted, and nobody has to remember a number.
    /// </summary>
    internal static string Program { get; } = $"{typeof(PolicyCompiler).Module.ModuleVersionId} {typeof(KVPrivacyPolicySpec).Module.ModuleVersionId}";

    /// <summary>What tells apart who cleared a text.</summary>
    /// <param name="spec">What the policy says of it.</param>
    /// <param name="program">The program that reads.</param>
    internal static string Clearance(KVPrivacyPolicySpec spec, string program)
    {
        var decides = Manifests.ToYaml(new KVPrivacyPolicy { Spec = new KVPrivacyPolicySpec { Rules = spec.Rules, Classifier = spec.Classifier, ContextCheck = spec.ContextCheck } });
        return Combine(program, decides);
    }

    /// <summary>One digest of two texts, the first of them without line breaks.</summary>
    internal static string Combine(string first, string second) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{first}\n{second}")));
}
