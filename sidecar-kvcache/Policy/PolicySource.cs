using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Moebius.Crds;
using Moebius.KvCache.Detection;
using Moebius.KvCache.Service;

namespace Moebius.KvCache.Policy;

/// <summary>
/// The policy in force. The file is read every second and taken up when its content has changed: a mounted ConfigMap
/// changes by swapping a symbolic link, which file notifications miss. A bad file leaves the old policy in force.
/// </summary>
internal sealed class PolicySource : IAsyncDisposable
{
    public static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    /// <summary>Polls until a refused file is looked at again: what it names may come later, and a large model takes a while to read.</summary>
    public const int RetryEvery = 15;

    private readonly string? _path;
    private readonly CacheMetrics _metrics;
    private readonly ILogger _logger;
    private readonly TierFactory? _tiers;
    private readonly object _gate = new();
    private string _digest = "";
    private string _refused = "";
    private int _polls;
    private State _state;
    private ITimer? _timer;

    /// <param name="path">The manifest; null: the default policy, for good.</param>
    /// <param name="metrics">Where reloads and refusals are counted.</param>
    /// <param name="logger">Where they are told.</param>
    /// <param name="tiers">Loads what a policy needs before it comes into force; null: policies need nothing.</param>
    /// <exception cref="UserInputException">The first file is bad: there is no older policy to keep.</exception>
    public PolicySource(string? path, CacheMetrics metrics, ILogger logger, TierFactory? tiers = null)
    {
        _path = path;
        _metrics = metrics;
        _logger = logger;
        _tiers = tiers;
        if (path is null)
        {
            _state = new State(PolicyCompiler.Default, "");
        }
        else
        {
            var text = Manifests.ReadText(path);
            _state = new State(Load(text, path), "");
            _digest = Digest(text);
        }

        Announce(_state.Policy);
    }

    /// <summary>Raised after a new policy is in force.</summary>
    public event Action<CompiledPolicy>? Changed;

    public CompiledPolicy Current => Volatile.Read(ref _state).Policy;

    /// <summary>Why the newest file was refused; empty when it was not.</summary>
    public string Error => Volatile.Read(ref _state).Error;

    public void Start(TimeProvider time)
    {
        if (_path is not null)
            _timer = time.CreateTimer(_ => Poll(), null, Period, Period);
    }

    /// <summary>Looks at the file once.</summary>
    public void Poll()
    {
        lock (_gate)
        {
            var text = "";
            try
            {
                text = Manifests.ReadText(_path!);
                var digest = Digest(text);
                if (digest == _digest && Error.Length == 0)
                    return;
                if (digest == _refused && ++_polls < RetryEvery)
                    return;
                (_refused, _polls) = (digest, 0);
                var policy = Load(text, _path!);
                (_digest, _refused) = (digest, "");
                Volatile.Write(ref _state, new State(policy, ""));
                _metrics.PolicyReloads.Inc();
                _metrics.PolicyInvalid.Set(0);
                _metrics.PolicyRefusedGeneration.Set(0);
                Announce(policy);
                Changed?.Invoke(policy);
            }
            catch (UserInputException error)
            {
                // What cannot be read at all may come back as it was.
                if (text.Length == 0)
                    _refused = "";
                var generation = Generation(text);
                if (Error == error.Message && _metrics.PolicyRefusedGeneration.Value == generation)
                    return;
                _metrics.PolicyRefusedGeneration.Set(generation);
                Volatile.Write(ref _state, new State(Current, error.Message));
                _metrics.PolicyErrors.Inc();
                _metrics.PolicyInvalid.Set(1);
                _logger.LogError("Policy refused, generation {Generation} stays in force: {Reason}", Current.Generation, error.Message);
            }
        }
    }

    /// <summary>Ends polling; a round that is under way has ended then.</summary>
    public ValueTask DisposeAsync() => _timer?.DisposeAsync() ?? ValueTask.CompletedTask;

    private CompiledPolicy Load(string text, string path)
    {
        var policy = PolicyCompiler.Parse(text, path);
        return _tiers?.Equip(policy, path) ?? policy;
    }

    /// <summary>What a refused file says of itself; 0 when even that cannot be read.</summary>
    private static long Generation(string text)
    {
        try
        {
            return Manifests.ParseDocuments(text, "policy") is [var policy, ..] && policy["metadata"] is JsonObject metadata
                && metadata["generation"] is JsonValue value && value.TryGetValue<long>(out var generation) ? generation : 0;
        }
        catch (UserInputException)
        {
            return 0;
        }
    }

    private static string Digest(string text) => Convert.ToHexString(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(text)));

    private void Announce(CompiledPolicy policy)
    {
        _metrics.PolicyGeneration.Set(policy.Generation);
        _logger.LogInformation(
            "Policy in force: mode {Mode}, public prefixes: {Prefixes}, generation {Generation}", policy.Mode, policy.Prefixes.Count, policy.Generation);
        foreach (var warning in policy.Warnings)
            _logger.LogWarning("Policy: {Warning}", warning);
    }

    private sealed record State(CompiledPolicy Policy, string Error);
}
