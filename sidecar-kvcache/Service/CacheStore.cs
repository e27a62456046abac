using System.Buffers;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Unicode;
using Grpc.Core;
using Microsoft.Extensions.Logging;
using Moebius.Crds.V1Alpha1;
using Moebius.Kvcache.V1;
using Moebius.KvCache.Arena;
using Moebius.KvCache.Detection;
using Moebius.KvCache.Index;
using Moebius.KvCache.Monitoring;
using Moebius.KvCache.Policy;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Service;

/// <summary>
/// The cache: sessions, the arena and its index, and the policy that decides what each call may see. Knows nothing of
/// gRPC but its status codes.
/// </summary>
internal sealed partial class CacheStore : IAsyncDisposable
{
    public const uint ProtocolVersion = 1;

    /// <summary>How long a session may exist without an open Hold call.</summary>
    public static readonly TimeSpan HoldGrace = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan MaintenancePeriod = TimeSpan.FromSeconds(5);
    private const uint MaxBlockTokens = 1024;

    private readonly ArenaFile _arena;
    private readonly PolicySource _policy;
    private readonly CacheMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly int? _blockTokens;
    private readonly ClassificationQueue _queue;
    private readonly ProbeMonitor _monitor;
    private readonly ConcurrentDictionary<string, Session> _sessions = new(StringComparer.Ordinal);
    private readonly object _layoutGate = new();
    private readonly TenantKeys _tenants;
    private readonly TierSet _tiers;
    private readonly TierMetrics _tierMetrics;
    private readonly long _start;
    private Layout? _layout;
    private ITimer? _maintenance;

    /// <param name="arena">The shared-memory file.</param>
    /// <param name="policy">Where the policy in force comes from.</param>
    /// <param name="blockTokens">The block size that engines must use; null: any.</param>
    /// <param name="metrics">Counters.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">For what an operator should know.</param>
    /// <param name="ssd">The tier on disk, owned from now on; null: none.</param>
    /// <param name="shared">The tier between pods, owned from now on; null: none.</param>
    /// <param name="master">What tenants' keys are derived from; null: private blocks do not leave the arena.</param>
    public CacheStore(
        ArenaFile arena, PolicySource policy, int? blockTokens, CacheMetrics metrics, TimeProvider time, ILogger logger,
        SsdTier? ssd = null, Func<TierMetrics, SharedTier>? shared = null, MasterSecret? master = null)
    {
        _arena = arena;
        _policy = policy;
        _blockTokens = blockTokens;
        _metrics = metrics;
        _time = time;
        _logger = logger;
        _start = time.GetTimestamp();
        _queue = new ClassificationQueue(() => policy.Current, metrics, time, logger);
        _monitor = new ProbeMonitor(() => policy.Current.Monitor, Now);
        // With a secret tenants keep their names over a restart, as their blocks on disk do.
        _tenants = new TenantKeys(master?.TenantSalt ?? RandomNumberGenerator.GetBytes(32));
        _tierMetrics = new TierMetrics(metrics.Registry);
        _tiers = new TierSet(
            new TierContext(arena, () => policy.Current, TryBeginCopy, EndCopy, master), ssd, shared?.Invoke(_tierMetrics), _tierMetrics, time, logger);
        policy.Changed += OnPolicyChanged;
        metrics.Registry.AddBeforeCollectCallback(Observe);
    }

    /// <summary>Commits whose text has not been classified yet.</summary>
    public long PendingClassifications => _queue.Pending;

    /// <summary>Prompts whose blocks are on their way between the arena and another tier.</summary>
    public int PendingCopies => _tiers.Pending;

    /// <summary>What an operator should know about the tiers; empty when all is well.</summary>
    public IEnumerable<string> TierStates => _tiers.States;

    public string ArenaPath => _arena.Path;

    /// <summary>Where Lookup and Release are served in frames; empty: nowhere.</summary>
    public string HotSocketPath { get; set; } = "";

    public void Start()
    {
        _queue.Start();
        _policy.Start(_time);
        _maintenance = _time.CreateTimer(_ => Maintain(), null, MaintenancePeriod, MaintenancePeriod);
    }

    public Session Attach(uint protocolVersion, ReadOnlySpan<byte> fingerprint, uint blockTokens, ulong blockBytes, string engineId)
    {
        if (protocolVersion != ProtocolVersion)
            throw new CacheException(StatusCode.FailedPrecondition, $"protocol_version: {protocolVersion} is not spoken here: use {ProtocolVersion}");
        if (fingerprint.Length != SHA256.HashSizeInBytes)
            throw Invalid($"fingerprint: {fingerprint.Length} bytes, must be {SHA256.HashSizeInBytes} (SHA-256)");
        if (blockTokens is 0 || blockTokens > MaxBlockTokens)
            throw Invalid($"block_tokens: {blockTokens}, must be 1 to {MaxBlockTokens}");
        if (_blockTokens is { } configured && configured != blockTokens)
            throw Invalid($"block_tokens: {blockTokens}, but kvCache.blockTokens is {configured}: use the same on both sides");
        if (blockBytes == 0)
            throw Invalid("block_bytes: 0, must be at least 1");
        if (ArenaGeometry.For(_arena.Bytes, blockBytes) is not { } wanted)
        {
            throw Invalid(
                $"block_bytes: {blockBytes}, but kvCache.memory (--arena-size) of {_arena.Bytes} bytes cannot hold one such block: " +
                $"one takes {ArenaGeometry.BytesFor(blockBytes, 1)}, and a prompt one for every {blockTokens} tokens");
        }

        lock (_layoutGate)
        {
            WaitForCopies(wanted);
            var layout = _layout;
            if (layout is null || (layout.Geometry != wanted && _sessions.IsEmpty))
            {
                layout = Divide(wanted);
                _logger.LogInformation(
                    "Arena divided into {Slots} slots of {SlotBytes} bytes for blocks of {BlockBytes} bytes", wanted.SlotCount, wanted.SlotBytes, blockBytes);
            }
            else if (wanted.SlotBytes > layout.Geometry.SlotBytes)
            {
                throw new CacheException(
                    StatusCode.FailedPrecondition,
                    $"block_bytes: {blockBytes} does not fit the slots of {layout.Geometry.SlotBytes} bytes that another attached engine uses: detach it first");
            }

            var root = layout.Index.Root(new ModelKey(Convert.ToHexStringLower(fingerprint), (int)blockTokens, (long)blockBytes));
            var session = new Session(Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16)), engineId, layout, root, Now());
            _sessions[session.Id] = session;
            _logger.LogInformation("Engine {EngineId} attached", Printable(engineId));
            return session;
        }
    }

    public Session Session(string id) => _sessions.TryGetValue(id, out var session) ? session : throw UnknownSession();

    /// <summary>A session by the bytes of its name; null: unknown or ended.</summary>
    public Session? TrySession(ReadOnlySpan<byte> id)
    {
        Span<char> name = stackalloc char[byte.MaxValue];
        return id.Length <= name.Length && Ascii.ToUtf16(id, name, out var length) == OperationStatus.Done
            && _sessions.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(name[..length], out var session) ? session : null;
    }

    /// <summary>Ends a session and reclaims its leases and reservations.</summary>
    public void End(Session session)
    {
        if (!_sessions.TryRemove(session.Id, out _))
            return;
        session.End();
        _metrics.SessionsReclaimed.Inc();
        _logger.LogInformation("Engine {EngineId} is gone; its leases and reservations are reclaimed", Printable(session.EngineId));
    }

    public IReadOnlyList<SlotRef> Reserve(string sessionId, string tenant, bool anonymous, uint count)
    {
        var session = Session(sessionId);
        var key = Tenant(tenant, anonymous);
        if (count == 0 || count > session.Layout.Slots.Count)
            throw Invalid($"count: {count}, must be 1 to {session.Layout.Slots.Count}");
        var slots = session.Layout.Index.Reserve(
            key, (int)count, EvictionPolicy.Quota(session.Layout.Slots.Count, _policy.Current.MaxTenantPercent));
        return session.AddReserved(key, slots) ? slots : throw UnknownSession();
    }

    public int Commit(
        string sessionId,
        string tenant,
        bool anonymous,
        uint[] tokens,
        uint firstBlock,
        IReadOnlyList<SlotRef> slots,
        byte[] text,
        uint[] tokenBytes)
    {
        var session = Session(sessionId);
        var root = session.Root;
        var key = Tenant(tenant, anonymous);
        if (slots.Count == 0)
            throw Invalid("slots: empty, must name at least one reserved slot");
        if (tokens.LongLength != (firstBlock + (long)slots.Count) * root.BlockTokens)
            throw Invalid($"tokens: {tokens.Length}, must be (first_block + slots) * block_tokens = {(firstBlock + (long)slots.Count) * root.BlockTokens}");
        if (tokenBytes.Length != tokens.Length)
            throw Invalid($"token_bytes: {tokenBytes.Length} entries, must be as many as tokens: {tokens.Length}");
        if (tokenBytes.Sum(static bytes => (long)bytes) is var sum && sum != text.Length)
            throw Invalid($"token_bytes: they add up to {sum}, must add up to the length of text: {text.Length}");
        CheckRange(session, slots);

        var policy = _policy.Current;
        if (session.TakeReserved(key, slots) is var position and >= 0)
            throw NotReserved(slots, position);
        _metrics.CommittedBlocks.Inc(slots.Count);

        var view = ViewOf(policy, key);
        var share = policy.Mode == SharingMode.Share && view == View.Shared ? PublicReason.SharedByMode : null;
        var keep = anonymous && share is null ? KeptForAnonymous(policy, view, text, tokenBytes, root.BlockTokens) : int.MaxValue;
        var indexes = slots.Select(slot => slot.Index).ToArray();
        var result = session.Layout.Index.Insert(
            root, key, tokens, (int)firstBlock, indexes, keep, view, share, anonymous ? null : key);

        var committed = _time.GetTimestamp();
        var copy = new TierJob(session.Layout, root, key, _tiers.SecretOf(tenant, anonymous), tokens, view);
        _tiers.Changed(copy);
        // Under a policy that clears nothing there is no verdict to wait for.
        if (result.Undecided < result.CachedBlocks && policy.Mode == SharingMode.SafeKV && view == View.Shared)
        {
            var blocks = result.CachedBlocks - result.Undecided;
            var used = result.CachedBlocks * root.BlockTokens;
            _queue.Add(new ClassificationJob(
                session.Layout.Index, root, key, anonymous, tokens.AsSpan(0, used).ToArray(), text, tokenBytes, result.Undecided, blocks,
                OnPrivate: () => _tiers.Judged(copy, committed)));
        }

        return result.CachedBlocks;
    }

    public void Release(string sessionId, ulong lease, IReadOnlyList<SlotRef> slots)
    {
        var session = Session(sessionId);
        CheckRange(session, slots);
        session.EndLease(lease);
        if (session.CancelReserved(slots) is var position and >= 0)
            throw NotReserved(slots, position);
    }

    public async Task<long> EvictAsync(string sessionId, string tenant, CancellationToken cancel)
    {
        var session = Session(sessionId);
        TenantKey? key = tenant.Length == 0 ? null : _tenants.Derive(Encoding.UTF8.GetBytes(tenant), anonymous: false);
        var (blocks, unerased) = await _tiers.EvictAsync(session.Layout.Index, session.Root, key, cancel);
        return unerased is null ? blocks : throw new CacheException(
            StatusCode.Unavailable, $"nothing of it is found any more, but some may be after a restart: {unerased}: call Evict again until it is");
    }

    public StatsResponse Stats(string sessionId)
    {
        if (sessionId.Length > 0)
            Session(sessionId);
        var layout = Volatile.Read(ref _layout);
        var (privateBlocks, publicBlocks) = layout?.Index.CountBlocks() ?? default;
        return new StatsResponse
        {
            SlotsTotal = (uint)(layout?.Slots.Count ?? 0),
            SlotsFree = (uint)(layout?.Slots.FreeCount ?? 0),
            BlocksPrivate = (ulong)privateBlocks,
            BlocksPublic = (ulong)publicBlocks,
            Lookups = (ulong)_metrics.Lookups.Value,
            LookupBlocks = (ulong)_metrics.LookupBlocks.Value,
            HitBlocks = (ulong)_metrics.HitBlocks.Value,
            EvictedBlocks = (ulong)Dropped().Evicted,
            PromotedBlocks = (ulong)_metrics.PromotedBlocks.Value,
            PolicyGeneration = _policy.Current.Generation,
            PolicyError = _policy.Error,
        };
    }

    /// <summary>Reclaims sessions that nobody holds and drops what is past its retention.</summary>
    public void Maintain()
    {
        var now = Now();
        foreach (var session in _sessions.Values)
        {
            if (Volatile.Read(ref session.Holders) == 0 && now - session.AttachedAt > HoldGrace.TotalMilliseconds)
                End(session);
        }

        _monitor.Sweep();
        var policy = _policy.Current;
        Volatile.Read(ref _layout)?.Index.DropIdle(
            now - (long)policy.PrivateIdle.TotalMilliseconds, now - (long)policy.PublicIdle.TotalMilliseconds);
        _tiers.Maintain(policy);
    }

    public async ValueTask DisposeAsync()
    {
        // A round that is under way reads the arena, which goes away below.
        if (_maintenance is not null)
            await _maintenance.DisposeAsync();
        await _policy.DisposeAsync();
        await _queue.DisposeAsync();
        foreach (var session in _sessions.Values)
            End(session);
        await _tiers.DisposeAsync();
        _tenants.Dispose();
        _arena.Dispose();
    }

    private static int KeptForAnonymous(CompiledPolicy policy, View view, ReadOnlySpan<byte> text, uint[] tokenBytes, int blockTokens)
    {
        // Nobody comes back for an anonymous request's private blocks: only what may become public is worth a slot.
        if (view == View.Shared && policy.Tiers.Classifier is not null && policy.Mode == SharingMode.SafeKV)
            return int.MaxValue;
        if (view == View.OwnOnly || policy.DeclaredPrefixOf(text, out var declaredBytes) is null)
            return 0;
        return BlockClassifier.DeclaredBlocks(tokenBytes, blockTokens, declaredBytes);
    }

    private void OnPolicyChanged(CompiledPolicy policy)
    {
        _tiers.OnPolicy(policy);
        if (Volatile.Read(ref _layout) is not { } layout)
            return;
        var demoted = layout.Index.Retract(reason => PublicRules.Holds(policy, reason));
        if (demoted > 0)
            _logger.LogInformation("{Blocks} blocks are no longer public under the new policy", demoted);
    }

    private void Observe()
    {
        var layout = Volatile.Read(ref _layout);
        var (privateBlocks, publicBlocks) = layout?.Index.CountBlocks() ?? default;
        _metrics.Blocks.WithLabels("private").Set(privateBlocks);
        _metrics.Blocks.WithLabels("public").Set(publicBlocks);
        _metrics.Slots.WithLabels("free").Set(layout?.Slots.FreeCount ?? 0);
        _metrics.Slots.WithLabels("used").Set((layout?.Slots.Count - layout?.Slots.FreeCount) ?? 0);
        var (evicted, demoted) = Dropped();
        _metrics.EvictedBlocks.IncTo(evicted);
        _metrics.DemotedBlocks.IncTo(demoted);
        _tiers.Observe(_tierMetrics);
        _metrics.Sessions.Set(_sessions.Count);
        _metrics.IsolatedTenants.Set(_monitor.Isolated);
    }

    private TenantKey Tenant(string tenant, bool anonymous) => Tenant(Encoding.UTF8.GetBytes(tenant), anonymous);

    private TenantKey Tenant(ReadOnlySpan<byte> tenant, bool anonymous) =>
        tenant.Length == 0
            ? throw Invalid("tenant: empty, must name the tenant; for an anonymous request send a fresh random identity and set anonymous")
            : Utf8.IsValid(tenant)
            ? _tenants.Derive(tenant, anonymous)
            : throw Invalid("tenant: not UTF-8");

    private long Now() => (long)_time.GetElapsedTime(_start).TotalMilliseconds;

    private static void CheckRange(Session session, IReadOnlyList<SlotRef> slots)
    {
        for (var index = 0; index < slots.Count; index++)
        {
            if ((uint)slots[index].Index >= (uint)session.Layout.Slots.Count)
                throw Invalid($"slots[{index}].index: {(uint)slots[index].Index} is outside the arena, must be 0 to {session.Layout.Slots.Count - 1}");
        }
    }

    private static CacheException Invalid(string message) => new(StatusCode.InvalidArgument, message);

    public static CacheException UnknownSession() =>
        new(StatusCode.NotFound, "session: unknown or ended: call Attach and hold the session open with Hold");

    // One text for every cause: which one it is may be about another session.
    private static CacheException NotReserved(IReadOnlyList<SlotRef> slots, int position) => new(
        StatusCode.FailedPrecondition,
        $"slots[{position}]: slot {slots[position].Index} generation {slots[position].Generation} is not reserved by this session and tenant: " +
        "reserve it first, and commit or release it once");

    private static string Printable(string engineId) =>
        new(engineId.Take(64).Select(character => char.IsAsciiLetterOrDigit(character) || character is '-' or '.' or '_' ? character : '?').ToArray());
}
