using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.KvCache.Detection.Classifier;
using Moebius.KvCache.Detection.Classifier.BuiltIn;
using Moebius.KvCache.Detection.Classifier.Onnx;
using Moebius.KvCache.Detection.Context;
using Moebius.KvCache.Policy;
using Moebius.KvCache.Service;

namespace Moebius.KvCache.Detection;

/// <summary>
/// Makes the tiers of a policy. What a policy has in common with the one before is kept, so that a reload neither loads
/// a model again nor forgets verdicts. What is no longer wanted may still be at work and goes when its last user does.
/// </summary>
/// <param name="classifierRoot">Folder in which the claim with an ONNX model is mounted.</param>
/// <param name="contextKey">Bearer token for tier 3, or null.</param>
/// <param name="metrics">Counters; null: none.</param>
/// <param name="time">The clock.</param>
internal sealed class TierFactory(string classifierRoot, string? contextKey, CacheMetrics? metrics, TimeProvider time)
{
    /// <summary>Where the operator mounts <c>classifier.onnx.claimName</c>.</summary>
    public const string DefaultClassifierRoot = "/var/lib/moebius/classifier";

    private (ClassifierType Type, string Path) _loaded;
    private IPrivacyClassifier? _classifier;
    private ContextCheckSettings? _asked;
    private ContextChecker? _checker;

    /// <exception cref="UserInputException">A model that cannot be loaded, or a token that is missing; the message names the field.</exception>
    public CompiledPolicy Equip(CompiledPolicy policy, string source)
    {
        try
        {
            var tiers = new DetectionTiers(Classifier(policy.Classifier), policy.ContextCheck is { } check ? Checker(check, source) : null);
            // Another model in the same place clears other texts.
            return policy with { Tiers = tiers, Clearance = PolicyCompiler.Combine(policy.Clearance, tiers.Classifier?.Digest ?? "") };
        }
        catch (UserInputException error) when (policy.Classifier.Type == ClassifierType.Onnx && !error.Message.StartsWith(source, StringComparison.Ordinal))
        {
            throw new UserInputException($"{source}: spec.classifier.onnx: {error.Message}", error);
        }
    }

    private IPrivacyClassifier? Classifier(ClassifierSettings settings)
    {
        if (_classifier is null || _loaded != (settings.Type, settings.OnnxPath))
        {
            _classifier = settings.Type switch
            {
                ClassifierType.BuiltIn => new BuiltInClassifier(ClassifierModel.Load()),
                ClassifierType.Onnx => OnnxClassifier.Load(Path.Combine(classifierRoot, settings.OnnxPath)),
                _ => null,
            };
            _loaded = (settings.Type, settings.OnnxPath);
        }

        return _classifier;
    }

    private ContextChecker Checker(ContextCheckSettings settings, string source)
    {
        if (settings.NeedsKey && string.IsNullOrEmpty(contextKey))
            throw new UserInputException($"{source}: spec.contextCheck.endpoint.apiKeySecretRef: {ContainerVariables.ContextCheckKey} is not set: set it to the secret's value");
        if (_checker is null || _asked != settings)
            (_checker, _asked) = (new ContextChecker(settings, settings.NeedsKey ? contextKey : null, metrics, time), settings);
        return _checker;
    }
}
