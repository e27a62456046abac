using System.Buffers;
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

    private readonly ILogger _logger;
    private readonly TierMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ResiliencePipeline _pipeline;
    private readonly CircuitBreakerStateProvider _breaker = new();
    private readonly Task<ConnectionMultiplexer> _connecting;
    private bool _reported;

    private SharedTier(SharedTierOptions options, TierMetrics metrics, TimeProvider time, ILogger logger)
    {
        _metrics = metrics;
        _time = time;
        _logger = logger;
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

    /// <summary>Waits for the first connection, or until connecting has been given up for now.</summary>
    public Task ConnectedAsync() => _connecting;

    /// <summary>The server's key for a block.</summary>
    public static string KeyOf(in TierBlock block) => block.IsPublic ? KeyOf(block.Id) : $"{TenantPrefix(block.Owner)}{block.Id}";

    /// <summary>Stores blocks that the server lacks, and lets it keep those it has for longer.</summary>
    /// <param name="blocks">Public ones, and private ones if the policy lets them out.</param>
    /// <param name="secret">The owner's keys; required when a private block is among them.</param>
    /// <param name="bytes">Their KV bytes, stable until this returns.</param>
    /// <param name="blockBytes">Bytes of each.</param>
    /// <param name="keep">How long unused private and public blocks are kept.</param>
    /// <param name="cancel">Ends it early.</param>
    public async Task WriteAsync(IReadOnlyList<TierBlock> blocks, TenantSecret? secret, BlockBytes bytes, long blockBytes, (TimeSpan Private, TimeSpan Public) keep, CancellationToken cancel)
    {
        for (var start = 0; start < blocks.Count; start += WriteLot)
        {
            var lot = blocks.Skip(start).Take(WriteLot).ToArray();
            var written = 0;
            var ok = await TryAsync(
                async database =>
                {
                    // Extending the life of a key also tells whether it is there.
                    var known = await Task.WhenAll(lot.Select(block => database.KeyExpireAsync(KeyOf(block), block.IsPublic ? keep.Public : keep.Private)));
                    var values = new List<byte[]>();
                    try
                    {
                        var writes = new List<Task<bool>>();
                        for (var index = 0; index < lot.Length; index++)
                        {
                            if (known[index])
                                continue;
                            var value = ArrayPool<byte>.Shared.Rent((int)(SegmentRecord.Size + blockBytes));
                            values.Add(value);
                            Encode(lot[index], secret, bytes(start + index), value);
                            writes.Add(database.StringSetAsync(
                                KeyOf(lot[index]), value.AsMemory(0, (int)(SegmentRecord.Size + blockBytes)), lot[index].IsPublic ? keep.Public : keep.Private, When.NotExists));
                        }

                        written = (await Task.WhenAll(writes)).Count(static set => set);
                    }
                    finally
                    {
                        // Only after success: a value that timed out may still be on its way to the socket.
                        if (written > 0 || values.Count == 0)
                            values.ForEach(static value => ArrayPool<byte>.Shared.Return(value));
                    }
                },
                cancel);
            _metrics.Written.WithLabels("shared").Inc(written);
            if (!ok)
            {
                _metrics.Refused.WithLabels("shared").Inc(blocks.Count - start);
                return;
            }
        }
    }

    /// <summary>Reads the blocks that continue a prefix, up to the first that is missing, late or damaged.</summary>
    /// <param name="chain">The prompt.</param>
    /// <param name="from">First block wanted.</param>
    /// <param name="count">Blocks wanted.</param>
    /// <param name="isPublic">All before are public, and the tenant may see public ones.</param>
    /// <param name="tenant">Whose private ones.</param>
    /// <param name="secret">Its keys; null: public ones only.</param>
    /// <param name="bytes">Where they go.</param>
    /// <param name="policy">The policy in force.</param>
    /// <param name="blockBytes">Bytes of each.</param>
    public async Task<List<(BlockId Id, PublicReason? Reason)>> ReadAsync(
        BlockChain chain, int from, int count, bool isPublic, TenantKey tenant, TenantSecret? secret, BlockBytes bytes, CompiledPolicy policy, long blockBytes)
    {
        var found = new List<(BlockId Id, PublicReason? Reason)>();
        if (isPublic)
            await ReadRunAsync(found, block => (chain.Public(block), KeyOf(chain.Public(block))), null, from, count, bytes, policy, blockBytes);
        if (found.Count < count && secret is not null && policy.SharePrivate)
        {
            await ReadRunAsync(
                found, block => (chain.Private(block, secret), $"{TenantPrefix(tenant)}{chain.Private(block, secret)}"), secret, from, count, bytes, policy, blockBytes);
        }

        return found;
    }

    /// <summary>Takes public blocks away from all pods, without waiting.</summary>
    public void Forget(IReadOnlyList<BlockId> names)
    {
        if (names.Count > 0)
            _ = TryAsync(database => database.KeyDeleteAsync([.. names.Select(static name => (RedisKey)KeyOf(name))]), CancellationToken.None);
    }

    /// <summary>Takes a tenant's private blocks away from all pods, without waiting.</summary>
    public void ForgetTenant(TenantKey tenant) => _ = TryAsync(
        async database =>
        {
            foreach (var server in database.Multiplexer.GetServers().Where(static server => server is { IsConnected: true, IsReplica: false }))
            {
                await foreach (var key in server.KeysAsync(pattern: $"{TenantPrefix(tenant)}*"))
                    await database.KeyDeleteAsync(key);
            }
        },
        CancellationToken.None,
        limited: false);

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
        List<(BlockId Id, PublicReason? Reason)> found,
        Func<int, (BlockId Id, string Key)> nameOf,
        TenantSecret? secret,
        int from,
        int count,
        BlockBytes bytes,
        CompiledPolicy policy,
        long blockBytes)
    {
        var first = found.Count;
        var names = Enumerable.Range(from + first, count - first).Select(nameOf).ToArray();
        await TryAsync(
            async database =>
            {
                var values = await Task.WhenAll(names.Select(name => database.StringGetLeaseAsync(name.Key)));
                var missing = false;
                for (var index = 0; index < values.Length; index++)
                {
                    using var value = values[index];
                    if (missing || value is null)
                    {
                        missing = true;
                        continue;
                    }

                    if (TryDecode(value.Span, names[index].Id, secret, bytes(first + index), blockBytes, out var reason)
                        && (reason is null || PublicRules.Holds(policy, reason)))
                        found.Add((names[index].Id, reason));
                    else
                        missing = true;
                }
            },
            CancellationToken.None);
    }

    private void Encode(in TierBlock block, TenantSecret? secret, ReadOnlySpan<byte> body, Span<byte> value)
    {
        var stored = value.Slice(SegmentRecord.Size, body.Length);
        byte[] seal = [];
        if (block.IsPublic)
        {
            body.CopyTo(stored);
        }
        else
        {
            seal = new byte[BlockCipher.NonceSize + BlockCipher.TagSize];
            BlockCipher.Seal(secret!, block.Id, body, stored, seal.AsSpan(0, BlockCipher.NonceSize), seal.AsSpan(BlockCipher.NonceSize));
        }

        new SegmentRecord
        {
            Block = block,
            Sequence = 0,
            Offset = 0,
            Length = body.Length,
            BodyCrc = Crc32C.Compute(stored),
            WrittenAt = _time.GetUtcNow().ToUnixTimeMilliseconds(),
            Seal = seal,
        }.Encode(value);
    }

    private bool TryDecode(ReadOnlySpan<byte> value, BlockId id, TenantSecret? secret, Span<byte> target, long blockBytes, out PublicReason? reason)
    {
        reason = null;
        if (value.Length == SegmentRecord.Size + blockBytes && SegmentRecord.Decode(value) is { } record
            && record.Block.Id == id && record.Length == blockBytes && record.Block.IsPublic == secret is null)
        {
            var body = value[SegmentRecord.Size..];
            reason = record.Block.Reason;
            if (Crc32C.Compute(body) == record.BodyCrc)
            {
                if (secret is null)
                {
                    body.CopyTo(target);
                    return true;
                }

                if (BlockCipher.TryOpen(secret, id, body, record.Seal.AsSpan(0, BlockCipher.NonceSize), record.Seal.AsSpan(BlockCipher.NonceSize), target))
                    return true;
            }
        }

        _metrics.Damaged.WithLabels("shared").Inc();
        return false;
    }

    /// <summary>Talks to the server within the time-out, unless it is being left alone. False: it did not work out.</summary>
    private async Task<bool> TryAsync(Func<IDatabase, Task> call, CancellationToken cancel, bool limited = true)
    {
        try
        {
            if (_connecting is not { IsCompletedSuccessfully: true })
                return false;
            var database = _connecting.Result.GetDatabase();
            if (limited)
                await _pipeline.ExecuteAsync(async token => await call(database).WaitAsync(token), cancel);
            else
                await call(database);
            if (_reported)
                _logger.LogInformation("The tier between pods is available again");
            _reported = false;
            return true;
        }
        catch (Exception error) when (error is RedisException or TimeoutException or TimeoutRejectedException or BrokenCircuitException or ObjectDisposedException)
        {
            if (!_reported)
                _logger.LogWarning("The tier between pods does not answer ({Error}): the cache goes on without it and tries again", error.GetType().Name);
            _reported = true;
            return false;
        }
    }
}
