using Microsoft.Extensions.Logging;
using Moebius.KvCache.Index;
using Moebius.KvCache.Policy;
using Polly;
using Polly.CircuitBreaker;
using Polly.Timeout;
using StackExchange.Redis;

namespace Moebius.KvCache.Tiers;

/// <summary>How the tier between pods is reached.</summary>
internal sealed record SharedTierOptions
{
    /// <summary>Host and port.</summary>
    public required string Address { get; init; }

    public string? Password { get; init; }

    public bool Tls { get; init; }

    /// <summary>How long one exchange with the server may take.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromMilliseconds(50);
}

/// <summary>Memory of the caller for one block.</summary>
internal delegate Span<byte> BlockBytes(int index);

/// <summary>
/// Blocks in a server that speaks the Redis protocol, shared by pods. A key names the visibility domain and, through the
/// block's name, the model and the text; a value is a block's record (with its checksums, and the seal of a private one)
/// and its body. Nothing waits for the server longer than the time-out, and when it fails repeatedly it is left alone for
/// a while: the pod then lives on what it has itself.
/// </summary>
internal sealed class SharedTier : IAsyncDisposable
{
    /// <summary>How long a failing server is left alone.</summary>
    public static readonly TimeSpan Break = TimeSpan.FromSeconds(2);

    private const string Prefix = "moebius:kv:1:";
    private const int WriteLot = 8;
    private const int RemovalLot = 1024;

    private readonly ILogger _logger;
    private readonly TierMetrics _metrics;
    private readonly ResiliencePipeline _pipeline;
    private readonly CircuitBreakerStateProvider _breaker = new();
    private readonly Task<ConnectionMultiplexer> _connecting;
    private readonly Removals<BlockId> _names;
    private readonly Removals<TenantKey> _tenants;
    private readonly Removals<Action<long>> _asking;
    private bool _reported;

    private SharedTier(SharedTierOptions options, TierMetrics metrics, TimeProvider time, ILogger logger)
    {
        _metrics = metrics;
        _logger = logger;
        // Apart: a look through all keys for a tenant's takes seconds on a large server.
        _names = new Removals<BlockId>(RemovalLot, RemoveAsync);
        _tenants = new Removals<TenantKey>(1, RemoveAsync);
        _asking = new Removals<Action<long>>(RemovalLot, TellTimeAsync);
        var failures = new PredicateBuilder().Handle<RedisException>().Handle<TimeoutException>().Handle<TimeoutRejectedException>().Handle<ObjectDisposedException>();
        _pipeline = new ResiliencePipelineBuilder { TimeProvider = time }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions
            {
                ShouldHandle = failures,
                FailureRatio = 0.5,
                MinimumThroughput = 3,
                SamplingDuration = TimeSpan.FromSeconds(5),
                BreakDuration = Break,
                StateProvider = _breaker,
            })
            .AddTimeout(options.Timeout)
            .Build();
        var configuration = new ConfigurationOptions
        {
            AbortOnConnectFail = false,
            AllowAdmin = false,
            BacklogPolicy = BacklogPolicy.FailFast,
            ConnectTimeout = 2000,
            ReconnectRetryPolicy = new LinearRetry(500),
            Password = options.Password,
            Ssl = options.Tls,
            // The pipeline's time-out is the one that counts; this one only clears what it left.
            AsyncTimeout = (int)Math.Max(1000, 2 * options.Timeout.TotalMilliseconds),
            ClientName = "moebius",
        };
        configuration.EndPoints.Add(options.Address);
        _connecting = ConnectionMultiplexer.ConnectAsync(configuration);
    }

    /// <summary>Whether asking the server makes sense now.</summary>
    public bool IsAvailable => _connecting is { IsCompletedSuccessfully: true, Result.IsConnected: true } && _breaker.CircuitState is not (CircuitState.Open or CircuitState.Isolated);

    /// <summary>What an operator should read about it.</summary>
    public string State => IsAvailable ? "" : "not available, retried";

    /// <summary>Begins to connect; a server that is not there yet is awaited in the background.</summary>
    public static SharedTier Open(SharedTierOptions options, TierMetrics metrics, TimeProvider time, ILogger logger) => new(options, metrics, time, logger);

    /// <summary>The server's key for a block.</summary>
    public static string KeyOf(in TierBlock block) => block.IsPublic ? KeyOf(block.Id) : $"{TenantPrefix(block.Owner)}{block.Id}";

    /// <summary>Stores blocks that the server lacks, and lets it keep those it has for longer.</summary>
    /// <param name="blocks">Public ones, and private ones if the policy lets them out.</param>
    /// <param name="secretFor">The owner's keys for a private block; those of origins for a public one.</param>
    /// <param name="isWanted">Whether a block may still be stored.</param>
    /// <param name="holds">Whether a block that is public for a reason is taken from the server under the policy in force.</param>
    /// <param name="bytes">Their KV bytes, stable until this returns.</param>
    /// <param name="keep">How long unused private and public blocks are kept.</param>
    /// <param name="cancel">Ends it early.</param>
    public async Task WriteAsync(
        IReadOnlyList<TierBlock> blocks, Func<TierBlock, TenantSecret?> secretFor, Predicate<TierBlock> isWanted, Predicate<PublicReason> holds, BlockBytes bytes, (TimeSpan Private, TimeSpan Public) keep, CancellationToken cancel)
    {
        for (var start = 0; start < blocks.Count; start += WriteLot)
        {
            var lot = blocks.Skip(start).Take(WriteLot).ToArray();
            if (!Array.Exists(lot, isWanted))
                continue;
            var now = 0L;
            var known = await TryAsync(
                async database =>
                {
                    // Pods' clocks differ; the server's is one for all.
                    var time = TimeAsync(database);
                    var stored = await Task.WhenAll(lot.Select(block => StateAsync(database, block, block.IsPublic ? keep.Public : keep.Private, holds)));
                    now = await time;
                    return stored;
                },
                cancel);
            var values = known is null ? [] : lot.Select((block, index) => known[index] == Stored.Good ? null : Encode(block, secretFor(block), bytes(start + index), now)).ToArray();
            // What is good takes the place of what is of no use. What came meanwhile stays, but what has been judged takes the place of what had not.
            var written = known is null ? null : await TryAsync(
                database => Task.WhenAll(lot.Zip(values, known).Where(item => item.Second is not null && isWanted(item.First)).Select(item =>
                    database.StringSetAsync(
                        KeyOf(item.First), item.Second, item.First.IsPublic ? keep.Public : keep.Private,
                        item.Third == Stored.Useless || item.First is { IsPublic: false, IsUndecided: false } ? When.Always : When.NotExists))),
                cancel);
            if (written is null)
            {
                _metrics.Refused.WithLabels("shared").Inc(blocks.Count - start);
                return;
            }

            _metrics.Written.WithLabels("shared").Inc(written.Count(static set => set));
        }
    }

    /// <summary>Reads the blocks that continue a prefix, up to the first that is missing, late or damaged.</summary>
    /// <param name="chain">The prompt.</param>
    /// <param name="from">First block wanted.</param>
    /// <param name="count">Blocks wanted.</param>
    /// <param name="isPublic">All before are public, and the tenant may see public ones.</param>
    /// <param name="tenant">Whose private ones.</param>
    /// <param name="secret">Its keys; null: public ones only.</param>
    /// <param name="origins">What the origins of public ones are sealed with; null: nobody's is known.</param>
    /// <param name="bytes">Where they go.</param>
    /// <param name="policy">The policy in force.</param>
    /// <param name="blockBytes">Bytes of each.</param>
    public async Task<List<StagedBlock>> ReadAsync(
        BlockChain chain, int from, int count, bool isPublic, TenantKey tenant, TenantSecret? secret, TenantSecret? origins, BlockBytes bytes, CompiledPolicy policy, long blockBytes)
    {
        var found = new List<StagedBlock>();
        if (isPublic && policy.MakesPublic)
            await ReadRunAsync(found, block => (chain.Public(block), KeyOf(chain.Public(block))), null, origins, from, count, bytes, policy, blockBytes);
        if (found.Count < count && secret is not null && policy.SharePrivate)
        {
            await ReadRunAsync(
                found, block => (chain.Private(block, secret), $"{TenantPrefix(tenant)}{chain.Private(block, secret)}"), secret, null, from, count, bytes, policy, blockBytes);
        }

        return found;
    }

    /// <summary>Takes public blocks away from all pods, without waiting.</summary>
    public void Forget(IReadOnlyList<BlockId> names)
    {
        if (names.Count == 0)
            return;
        _names.Add(names);
        _ = _names.RunAsync();
    }

    /// <summary>Whether the server may still have what is to be taken away of a tenant.</summary>
    public bool IsForgetting(TenantKey tenant) => _tenants.Has(tenant);

    /// <summary>Takes a tenant's private blocks away from all pods, without waiting.</summary>
    public void ForgetTenant(TenantKey tenant)
    {
        _tenants.Add([tenant]);
        _ = _tenants.RunAsync();
    }

    /// <summary>Tells the server's time once it answers, without waiting: milliseconds since 1970, by which blocks are written.</summary>
    public void TellTime(Action<long> told)
    {
        _asking.Add([told]);
        _ = _asking.RunAsync();
    }

    /// <summary>Takes away what is to be taken away; what the server does not answer is left for the next time.</summary>
    public Task RemoveAsync() => Task.WhenAll(_names.RunAsync(), _tenants.RunAsync(), _asking.RunAsync());

    private async Task<bool> TellTimeAsync(IReadOnlyList<Action<long>> asking)
    {
        if (await TryAsync(async database => new[] { await TimeAsync(database) }, CancellationToken.None) is not [var now])
            return false;
        foreach (var told in asking)
            told(now);
        return true;
    }

    private static async Task<long> TimeAsync(IDatabaseAsync database)
    {
        var time = (RedisResult[])(await database.ExecuteAsync("TIME"))!;
        return ((long)time[0] * 1000) + ((long)time[1] / 1000);
    }

    private async Task<bool> RemoveAsync(IReadOnlyList<BlockId> names) =>
        await TryAsync(async database => new[] { await database.KeyDeleteAsync([.. names.Select(static name => (RedisKey)KeyOf(name))]) }, CancellationToken.None) is not null;

    private async Task<bool> RemoveAsync(IReadOnlyList<TenantKey> tenants)
    {
        foreach (var tenant in tenants)
        {
            if (await TryAsync(database => RemoveAsync(database, tenant), CancellationToken.None, limited: false) is not [true])
                return false;
        }

        return true;
    }

    /// <returns>Whether there was a server to remove anything from: one that follows another removes nothing.</returns>
    private static async Task<bool[]> RemoveAsync(IDatabase database, TenantKey tenant)
    {
        var servers = database.Multiplexer.GetServers().Where(static server => server is { IsReplica: false }).ToArray();
        foreach (var server in servers)
        {
            await foreach (var key in server.KeysAsync(pattern: $"{TenantPrefix(tenant)}*"))
                await database.KeyDeleteAsync(key);
        }

        return [servers.Length > 0];
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            await (await _connecting).DisposeAsync();
        }
        catch (RedisException)
        {
            // Never connected.
        }
    }

    private static string KeyOf(BlockId name) => $"{Prefix}p:{name}";

    private static string TenantPrefix(TenantKey tenant) => FormattableString.Invariant($"{Prefix}t:{tenant.High:x16}{tenant.Low:x16}:");

    private async Task ReadRunAsync(
        List<StagedBlock> found,
        Func<int, (BlockId Id, string Key)> nameOf,
        TenantSecret? secret,
        TenantSecret? origins,
        int from,
        int count,
        BlockBytes bytes,
        CompiledPolicy policy,
        long blockBytes)
    {
        var first = found.Count;
        var names = Enumerable.Range(from + first, count - first).Select(nameOf).ToArray();
        var values = await TryAsync(database => Task.WhenAll(names.Select(name => database.StringGetLeaseAsync(name.Key))), CancellationToken.None);
        var missing = false;
        for (var index = 0; index < values?.Length; index++)
        {
            using var value = values[index];
            var block = default(StagedBlock);
            missing = missing || value is null
                || !TryDecode(value.Span, names[index].Id, secret, origins, bytes(first + index), blockBytes, out block)
                || (block.Reason is { } reason && !PublicRules.Holds(policy, reason));
            if (!missing)
                found.Add(block);
        }
    }

    /// <summary>
    /// What the server has of a block, whose life it extends. Of no use is a private block that had not been judged when this one has, and
    /// a public one that nobody with this policy would take: what an older policy or program had made public.
    /// </summary>
    private static async Task<Stored> StateAsync(IDatabaseAsync database, TierBlock block, TimeSpan keep, Predicate<PublicReason> holds)
    {
        var key = KeyOf(block);
        var there = database.KeyExpireAsync(key, keep);
        if (block.IsUndecided)
            return await there ? Stored.Good : Stored.Nothing;
        var head = database.StringGetRangeAsync(key, 0, SegmentRecord.Size - 1);
        if (!await there)
        {
            await head;
            return Stored.Nothing;
        }

        var record = (byte[]?)await head is { Length: SegmentRecord.Size } bytes ? SegmentRecord.Decode(bytes) : null;
        var isGood = record is not null && (block.IsPublic ? record.Block.Reason is { } reason && holds(reason) : !record.Block.IsUndecided);
        return isGood ? Stored.Good : Stored.Useless;
    }

    private enum Stored
    {
        Nothing,
        Useless,
        Good,
    }

    private static byte[] Encode(in TierBlock block, TenantSecret? secret, ReadOnlySpan<byte> body, long now)
    {
        var value = GC.AllocateUninitializedArray<byte>(SegmentRecord.Size + body.Length);
        SegmentRecord.Store(block, body, secret, value.AsSpan(SegmentRecord.Size), now).Encode(value);
        return value;
    }

    private bool TryDecode(ReadOnlySpan<byte> value, BlockId id, TenantSecret? secret, TenantSecret? origins, Span<byte> target, long blockBytes, out StagedBlock block)
    {
        block = default;
        if (value.Length == SegmentRecord.Size + blockBytes && SegmentRecord.Decode(value) is { } record
            && record.Block.Id == id && record.Length == blockBytes && record.Block.IsPublic == secret is null)
        {
            block = StagedBlock.Of(record, origins);
            if (record.TryRestore(value[SegmentRecord.Size..], secret, target))
                return true;
        }

        _metrics.Damaged.WithLabels("shared").Inc();
        return false;
    }

    /// <summary>
    /// Talks to the server within the time-out, unless it is being left alone. Null: it did not work out. The call may go on
    /// after that, so it must not touch a block's memory.
    /// </summary>
    private async Task<T[]?> TryAsync<T>(Func<IDatabase, Task<T[]>> call, CancellationToken cancel, bool limited = true)
    {
        try
        {
            if (_connecting is not { IsCompletedSuccessfully: true })
                return null;
            var database = _connecting.Result.GetDatabase();
            var answer = limited
                ? await _pipeline.ExecuteAsync(async token => await call(database).WaitAsync(token), cancel)
                : await call(database);
            if (_reported)
                _logger.LogInformation("The tier between pods is available again");
            _reported = false;
            return answer;
        }
        catch (Exception error) when (error is RedisException or TimeoutException or TimeoutRejectedException or BrokenCircuitException or ObjectDisposedException
            // The client cancels what waits when it lets go of a connection.
            || (error is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            if (!_reported)
                _logger.LogWarning("The tier between pods does not answer ({Error}): the cache goes on without it and tries again", error.GetType().Name);
            _reported = true;
            return null;
        }
    }
}
