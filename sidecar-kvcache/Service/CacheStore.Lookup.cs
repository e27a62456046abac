using System.Runtime.CompilerServices;
using System.Text;
using Microsoft.Extensions.Logging;
using Moebius.Crds.V1Alpha1;
using Moebius.KvCache.Arena;
using Moebius.KvCache.Index;
using Moebius.KvCache.Monitoring;
using Moebius.KvCache.Policy;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Service;

/// <summary>The answer to a lookup.</summary>
/// <param name="Lease">Its number.</param>
/// <param name="Blocks">Slots of the leading blocks.</param>
/// <param name="Staging">Blocks after those that are on their way into the arena.</param>
internal readonly record struct LookupAnswer(ulong Lease, ReadOnlyMemory<SlotRef> Blocks, int Staging);

// What a tenant may use, and what lookups tell the monitor.
internal sealed partial class CacheStore
{
    private const uint MaxWaitMilliseconds = 10_000;
    private static readonly EventId ProbingEvent = new(1, "Probing");

    /// <summary>Blocks of a prompt whose keys need no allocation: 8 KiB of stack.</summary>
    private const int KeysOnStack = 512;

    /// <summary>The longest prefix that the tenant may use. What lies in slower tiers is staged beside the call, which may wait for it.</summary>
    /// <param name="session">The engine's.</param>
    /// <param name="tenant">Its name in UTF-8.</param>
    /// <param name="anonymous">The name is this request's only.</param>
    /// <param name="tokens">Token ids from position 0.</param>
    /// <param name="again">The same request has looked up before: it is one hit, however often it asks.</param>
    /// <param name="waitMilliseconds">How long the answer may wait for staged blocks.</param>
    /// <param name="slots">Memory for the slots of an answer that need not wait; too small: the answer has memory of its own.</param>
    /// <param name="cancel">Ends the wait.</param>
    [SkipLocalsInit]
    public ValueTask<LookupAnswer> LookupAsync(
        Session session, ReadOnlySpan<byte> tenant, bool anonymous, bool again, ReadOnlySpan<uint> tokens, uint waitMilliseconds, Memory<SlotRef> slots, CancellationToken cancel)
    {
        if (waitMilliseconds > MaxWaitMilliseconds)
            throw Invalid($"wait_milliseconds: {waitMilliseconds}, must be 0 to {MaxWaitMilliseconds}");
        var key = Tenant(tenant, anonymous);
        var view = ViewOf(_policy.Current, key);
        var keys = session.Root.Keys(tokens, stackalloc BlockKey[KeysOnStack]);
        if (slots.Length < keys.Length)
            slots = new SlotRef[keys.Length];
        var found = session.Layout.Index.Lookup(session.Root, key, keys, view, slots.Span, again ? int.MaxValue : 0);
        var staging = found.Blocks == keys.Length || !_tiers.MayStage ? null
            : _tiers.Stage(
                new TierJob(session.Layout, session.Root, key, _tiers.SecretOf(Encoding.UTF8.GetString(tenant), anonymous), tokens.ToArray(), view),
                keys, found.Blocks, found.EndsPublic);
        if (staging is null || waitMilliseconds == 0)
            return ValueTask.FromResult(Answer(session, keys.Length, found, slots, staging?.Blocks ?? 0));
        found.Lease.Release();
        return WaitAsync(session, key, keys.ToArray(), view, again ? int.MaxValue : found.Blocks, staging, TimeSpan.FromMilliseconds(waitMilliseconds), cancel);
    }

    private async ValueTask<LookupAnswer> WaitAsync(Session session, TenantKey key, BlockKey[] keys, View view, int counted, Staging staging, TimeSpan wait, CancellationToken cancel)
    {
        try
        {
            await staging.Done.WaitAsync(wait, _time, cancel);
        }
        catch (TimeoutException)
        {
            // What has not arrived is not in the answer.
        }

        var slots = new SlotRef[keys.Length];
        var found = session.Layout.Index.Lookup(session.Root, key, keys, view, slots, counted);
        return Answer(session, keys.Length, found, slots, staging.Done.IsCompleted ? 0 : staging.Blocks);
    }

    private LookupAnswer Answer(Session session, int asked, in FoundPrefix found, Memory<SlotRef> slots, int staging)
    {
        var lease = session.AddLease(found.Lease) ?? throw UnknownSession();
        _metrics.Lookups.Inc();
        _metrics.LookupBlocks.Inc(asked);
        _metrics.HitBlocks.Inc(found.Blocks);
        ActOnAlarms(session.Layout.Index);
        return new LookupAnswer(lease, slots[..found.Blocks], staging);
    }

    private View ViewOf(CompiledPolicy policy, TenantKey tenant) =>
        policy.Mode == SharingMode.Isolate || (policy.Mode == SharingMode.SafeKV && _monitor.IsIsolated(tenant)) ? View.OwnOnly : View.Shared;

    private void ActOnAlarms(PrefixIndex index)
    {
        while (_monitor.TryTakeAlarm(out var alarm))
        {
            var settings = _policy.Current.Monitor;
            // What is taken out of the tree has no depth any more.
            var (demoted, depth) = (0, alarm!.Entry.End);
            if (alarm.Verdict == ProbeVerdict.Probed && settings.Demote)
                demoted = index.DemoteProbed(alarm.Entry);
            foreach (var suspect in alarm.Suspects)
                _monitor.Isolate(suspect, settings.IsolateFor);
            _metrics.ProbingVerdicts.Inc();
            // The audit line, an event of its own for whoever collects logs: figures only, neither text nor tenant.
            _logger.LogWarning(
                ProbingEvent,
                "Probing: {Verdict}, depth {Depth} blocks, {Hits} hits by {Distinct} tenants (entropy {Entropy:F2} bits); {Demoted} blocks demoted, {Suspects} tenants isolated for {IsolateFor}",
                alarm.Verdict, depth, alarm.Use.Hits, alarm.Use.Distinct, alarm.Use.Entropy, demoted, alarm.Suspects.Count, settings.IsolateFor);
        }
    }
}
