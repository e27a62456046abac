using System.Globalization;
using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using k8s.Models;
using Microsoft.Extensions.Logging;

namespace Moebius.Operator.Runtime;

/// <summary>
/// Leases of other names under which others may work on the same objects: that of all namespaces, and those of one. A release
/// that is changed from one to the other has replicas under both for as long as it rolls out. Two leaders that plan otherwise,
/// because they are of two versions, would undo each other's work several times a second: who has acquired its Lease later waits
/// until the other has given its own back, or does not renew it any more.
/// </summary>
/// <param name="api">Asks the server.</param>
/// <param name="namespace">Where Leases are.</param>
/// <param name="watched">The only namespace that is worked in; null for all.</param>
/// <param name="time">Clock.</param>
/// <param name="logger">Tells for whom it waits.</param>
internal sealed class OverlappingLeases(ApiClient api, string @namespace, string? watched, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan LookAgain = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan TellAgain = TimeSpan.FromMinutes(5);

    private readonly Dictionary<string, (string? Renewal, DateTimeOffset Seen)> _renewals = [];

    /// <summary>Returns when nobody who came first works under another Lease.</summary>
    public async Task FreeAsync(CancellationToken cancellationToken)
    {
        DateTimeOffset? told = null;
        while (true)
        {
            try
            {
                if (await LookAsync(cancellationToken).ConfigureAwait(false) is not { } other)
                    return;
                if (told is null || time.GetUtcNow() - told > TellAgain)
                {
                    told = time.GetUtcNow();
                    logger.LogWarning("Waiting for {Holder}, which works on the same objects under Lease {Lease}", other.Holder, $"{@namespace}/{other.Name}");
                }
            }
            catch (Exception error) when (error is ApiException or HttpRequestException or IOException or TimeoutException or JsonException)
            {
                logger.LogDebug("Leases cannot be read: {Error}", error.Message);
            }

            await Task.Delay(LookAgain, time, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>The first of these Leases that is in the way; null when none is.</summary>
    /// <param name="own">One's own.</param>
    /// <param name="others">All of the namespace.</param>
    internal Held? InTheWay(Held own, IEnumerable<Held> others) => others
        .Where(other => Overlaps(other.Name) && !string.IsNullOrEmpty(other.Holder) && IsBefore(other, own))
        .OrderBy(other => other.Name, StringComparer.Ordinal)
        .FirstOrDefault(IsRenewed);

    private bool Overlaps(string lease) => watched is null
        ? lease.StartsWith(Leadership.LeaseOf(""), StringComparison.Ordinal)
        : lease == Leadership.LeaseOf(null);

    private static bool IsBefore(Held one, Held other) =>
        (one.Acquired ?? DateTimeOffset.MinValue, one.Name).CompareTo((other.Acquired ?? DateTimeOffset.MinValue, other.Name)) < 0;

    /// <summary>Clocks may differ: what counts is when a renewal was seen.</summary>
    private bool IsRenewed(Held other)
    {
        var now = time.GetUtcNow();
        if (!_renewals.TryGetValue(other.Name, out var last) || last.Renewal != other.Renewal)
            _renewals[other.Name] = last = (other.Renewal, now);
        return now - last.Seen < TimeSpan.FromSeconds(other.Seconds);
    }

    private async Task<Held?> LookAsync(CancellationToken cancellationToken)
    {
        try
        {
            var type = ResourceType.Of<V1Lease>();
            var own = Leadership.LeaseOf(watched);
            if (watched is not null)
            {
                var mine = Held.Of(await api.GetAsync(type.Item(new ObjectKey(@namespace, own)), cancellationToken).ConfigureAwait(false));
                return InTheWay(mine, [Held.Of(await api.GetAsync(type.Item(new ObjectKey(@namespace, Leadership.LeaseOf(null))), cancellationToken).ConfigureAwait(false))]);
            }

            var (leases, _) = await api.ListAsync(type, @namespace, null, item => Held.Of(JsonObject.Create(item.Clone())!), cancellationToken).ConfigureAwait(false);
            return leases.Find(lease => lease.Name == own) is { } held ? InTheWay(held, leases) : null;
        }
        catch (ApiException error) when (error.StatusCode == HttpStatusCode.NotFound)
        {
            return null;
        }
        catch (ApiException error) when (error.StatusCode == HttpStatusCode.Forbidden)
        {
            // With the rights of before one leads as before.
            logger.LogWarning("Whether somebody else works on the same objects cannot be told: {Error}", error.Message);
            return null;
        }
    }

    /// <summary>A Lease.</summary>
    /// <param name="Name">Its name.</param>
    /// <param name="Holder">Who has it; empty when it was given back.</param>
    /// <param name="Acquired">Since when.</param>
    /// <param name="Renewal">When it was renewed last, by the holder's clock.</param>
    /// <param name="Seconds">How long a renewal counts.</param>
    internal sealed record Held(string Name, string? Holder, DateTimeOffset? Acquired, string? Renewal, int Seconds)
    {
        public static Held Of(JsonObject lease)
        {
            var spec = lease["spec"];
            return new Held(
                (string?)lease["metadata"]?["name"] ?? "",
                (string?)spec?["holderIdentity"],
                DateTimeOffset.TryParse((string?)spec?["acquireTime"], CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var acquired) ? acquired : null,
                (string?)spec?["renewTime"],
                (int?)spec?["leaseDurationSeconds"] ?? 0);
        }
    }
}
