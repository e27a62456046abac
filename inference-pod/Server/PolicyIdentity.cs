using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;

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
        _current = Rules(_seen is null ? null : Parse(_seen, path!));
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
                return;
            _seen = text;
            _current = Rules(Parse(text, _path!));
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

    private PolicyRules Rules(KVPrivacyPolicySpec? policy) => new(new TenantIdentity(policy?.Identity ?? new IdentitySpec(), _key, _clock), new PublicText(policy));

    private static KVPrivacyPolicySpec? Parse(string text, string path)
    {
        var documents = Manifests.ParseDocuments(text, path);
        if (documents.Count != 1 || documents[0]["kind"] is not JsonValue kind || !kind.TryGetValue<string>(out var name) || name != KVPrivacyPolicy.KindName)
            throw new UserInputException($"{path}: must hold exactly one {KVPrivacyPolicy.KindName}");
        // Without a spec there would be nobody whose tenants must be signed: a half-written file must not say so.
        var spec = Manifests.Convert<KVPrivacyPolicy>(documents[0], path).Spec ?? throw new UserInputException($"{path}: spec: required field missing");
        SpecCheck.Require(spec, "spec", path);
        return spec;
    }
}

/// <summary>What the engine takes from the policy.</summary>
/// <param name="Identity">Whose a request is.</param>
/// <param name="Public">What of a prompt is public.</param>
internal sealed record PolicyRules(TenantIdentity Identity, PublicText Public);
