using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.Privacy;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Inference.Server;

/// <summary>
/// What the policy says about tenants and about what they share, taken up again when the mounted file changes. A new
/// file that cannot be honoured is reported once and the old rules stay.
/// </summary>
internal sealed class PolicyIdentity : IDisposable
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(5);

    private readonly string? _path;
    private readonly string? _key;
    private readonly TimeProvider _clock;
    private readonly ILogger _logger;
    private readonly ITimer? _timer;
    private string? _seen;
    private string? _refused;
    private volatile PolicyRules _current;

    /// <exception cref="UserInputException">The file is there but cannot be honoured.</exception>
    public PolicyIdentity(string? path, string? key, TimeProvider clock, ILogger logger)
    {
        _path = path;
        _key = key;
        _clock = clock;
        _logger = logger;
        _seen = path is null ? null : Manifests.ReadText(path);
        _current = Rules(_seen is null ? null : Read(_seen, path!));
        if (path is not null)
            _timer = clock.CreateTimer(_ => Reload(), null, Period, Period);
    }

    public PolicyRules Current => _current;

    public void Dispose() => _timer?.Dispose();

    /// <summary>Looks at the file again.</summary>
    public void Reload()
    {
        try
        {
            var text = Manifests.ReadText(_path!);
            if (text == _seen)
            {
                _refused = null;
                return;
            }

            _seen = text;
            _current = Rules(Read(text, _path!));
            _refused = null;
            _logger.LogInformation("The policy has changed; its rules for tenants and public texts are in force");
        }
        catch (UserInputException error)
        {
            if (error.Message == _refused)
                return;
            _refused = error.Message;
            _logger.LogError("The changed policy is refused, the old one stays in force: {Reason}", error.Message);
        }
    }

    /// <summary>In a method of its own: a policy's base class is the Kubernetes client's, which a server without one then need not load.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static KVPrivacyPolicySpec Read(string text, string path) => PolicyManifest.Parse(text, path).Spec;

    private PolicyRules Rules(KVPrivacyPolicySpec? policy)
    {
        var rules = new PolicyRules(new TenantIdentity(policy?.Identity ?? new IdentitySpec(), _key, _clock), new PublicText(policy));
        if (!string.IsNullOrEmpty(_key) && policy?.Identity.Signature is null)
            _logger.LogWarning("{Variable} is set, but {Policy} asks for no signatures (spec.identity.signature): every request is the tenant that its header names", ContainerVariables.TenantSignatureKey, policy is null ? "no policy" : "the policy");
        return rules;
    }
}

/// <summary>What the engine takes from the policy.</summary>
/// <param name="Identity">Whose a request is.</param>
/// <param name="Public">What of a prompt is public.</param>
internal sealed record PolicyRules(TenantIdentity Identity, PublicText Public);
