using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Logging;
using Moebius.Crds;

namespace Moebius.KvCache.Tiers;

/// <summary>What the SSD tier has done since start.</summary>
internal sealed record SsdStatistics(
    int Blocks, long LiveBytes, long Written, long Read, long Dropped, long Damaged, long Refused, bool Admits, string State);

/// <summary>
/// Blocks on a local disk: a log of <see cref="Segment"/>s under a byte budget, found through an <see cref="SsdCatalog"/>
/// in memory that is rebuilt from the segments' directories at start. Public blocks are stored as they are, private ones
/// sealed (<see cref="BlockCipher"/>) and only for tenants whose key is at hand. A full disk stops admission, never
/// reading.
/// </summary>
/// <remarks>One thread writes at a time; reads run beside it.</remarks>
internal sealed partial class SsdTier : IDisposable
{
    /// <summary>How long admission rests after the disk refused a write.</summary>
    public static readonly TimeSpan RestAfterRefusal = TimeSpan.FromSeconds(10);

    private const long LargestSegment = 64L << 20;
    private const int FewestSegments = 4;
    private const double TargetFill = 0.75;

    private readonly object _gate = new();
    private readonly object _writeGate = new();
    private readonly string _folder;
    private readonly ulong _keyCheck;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly SsdCatalog _catalog = new();
    private readonly List<Segment> _segments = [];
    private readonly AlignedBuffer _buffer = new();
    private readonly long _segmentBytes;
    private readonly int _maxSegments;
    private Segment? _active;
    private ulong _nextSegment;
    private ulong _nextSequence;
    private long _written;
    private long _read;
    private long _dropped;
    private long _damaged;
    private long _refused;
    private long _restUntil;
    private string _state = "";

    private SsdTier(string folder, long bytes, ulong keyCheck, TimeProvider time, ILogger logger)
    {
        _folder = folder;
        Bytes = bytes;
        _keyCheck = keyCheck;
        _time = time;
        _logger = logger;
        _segmentBytes = Math.Min(LargestSegment, bytes / (2 * FewestSegments) / DirectFile.Alignment * DirectFile.Alignment);
        _maxSegments = (int)(bytes / _segmentBytes);
    }

    /// <summary>The budget.</summary>
    public long Bytes { get; }

    /// <summary>The smallest budget that makes sense.</summary>
    public const long MinimumBytes = 2 * FewestSegments * DirectFile.Alignment;

    /// <summary>Opens the tier and takes up what an earlier process left, whatever state that is in.</summary>
    /// <param name="folder">Where the segments lie; created if missing.</param>
    /// <param name="bytes">Bytes to use, at least <see cref="MinimumBytes"/>.</param>
    /// <param name="keyCheck"><see cref="MasterSecret.Check"/>; 0: no secret, so no private blocks.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">For what an operator should know.</param>
    /// <exception cref="UserInputException">The folder cannot be used.</exception>
    public static SsdTier Open(string folder, long bytes, ulong keyCheck, TimeProvider time, ILogger logger)
    {
        var tier = new SsdTier(folder, bytes, keyCheck, time, logger);
        try
        {
            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            tier.Recover();
            return tier;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            tier.Dispose();
            throw new UserInputException($"--ssd: cannot use folder '{folder}': {error.Message}", error);
        }
    }

    public SsdStatistics Statistics()
    {
        lock (_gate)
            return new SsdStatistics(_catalog.Count, _catalog.LiveBytes, _written, _read, _dropped, _damaged, _refused, _state.Length == 0, _state);
    }

    public bool IsEmpty
    {
        get
        {
            lock (_gate)
                return _catalog.Count == 0;
        }
    }

    public bool Contains(BlockId id)
    {
        lock (_gate)
            return _catalog.TryFind(id, out _);
    }

    /// <summary>Whether a block was written before anything was known about its text.</summary>
    public bool IsUndecided(BlockId id)
    {
        lock (_gate)
            return _catalog.TryFind(id, out var entry) && entry.Block.IsUndecided;
    }

    /// <summary>Whether a block was written by some moment.</summary>
    /// <param name="id">Its name.</param>
    /// <param name="by">Milliseconds since 1970.</param>
    public bool WasWritten(BlockId id, long by)
    {
        lock (_gate)
            return _catalog.TryFind(id, out var entry) && entry.Record.WrittenAt <= by;
    }

    /// <summary>Finds a block and notes that it was asked for.</summary>
    public bool TryFind(BlockId id, [NotNullWhen(true)] out SsdEntry? entry)
    {
        lock (_gate)
        {
            if (!_catalog.TryFind(id, out entry))
                return false;
            entry.LastUse = Now();
            entry.Hits++;
            return true;
        }
    }

    /// <summary>Stores a block. False: it is not stored, and <see cref="Statistics"/> says why if the disk is the reason.</summary>
    /// <param name="block">What it is.</param>
    /// <param name="body">Its KV bytes.</param>
    /// <param name="secret">The owner's keys, required for a private block; for a public one those of origins.</param>
    /// <param name="quota">Bytes that the owner's private blocks may take.</param>
    /// <param name="isWanted">Whether it may still be stored, asked while nothing can be dropped; null: it may.</param>
    public bool TryWrite(in TierBlock block, ReadOnlySpan<byte> body, TenantSecret? secret, long quota, Func<bool>? isWanted = null)
    {
        if (!block.IsPublic && (secret is null || _keyCheck == 0))
            throw new ArgumentException("a private block needs its tenant's key", nameof(secret));
        var stored = (int)DirectFile.AlignUp(body.Length);
        lock (_writeGate)
        {
            if (isWanted?.Invoke() == false)
                return false;
            if (Contains(block.Id))
                return true;
            if (stored > _segmentBytes || !SegmentRecord.CanHold(block.Reason) || _time.GetTimestamp() < _restUntil || (!block.IsPublic && !MakeRoomFor(block.Owner, stored, quota)))
            {
                Interlocked.Increment(ref _refused);
                return false;
            }

            try
            {
                Append(block, body, secret, stored);
                if (_state.Length > 0)
                    _logger.LogInformation("The SSD tier admits blocks again");
                _state = "";
                return true;
            }
            catch (IOException error)
            {
                Interlocked.Increment(ref _refused);
                if (_state.Length == 0)
                    _logger.LogWarning("The SSD tier admits no more blocks and goes on serving those it has: {Reason}", error.Message);
                _state = error.Message;
                _restUntil = _time.GetTimestamp() + (long)(RestAfterRefusal.TotalSeconds * _time.TimestampFrequency);
                return false;
            }
        }
    }

    /// <summary>Reads a block. False: it is gone or damaged, and will not be found again.</summary>
    /// <param name="entry">What <see cref="TryFind"/> found.</param>
    /// <param name="secret">The owner's keys; required for a private block.</param>
    /// <param name="buffer">The caller's.</param>
    /// <param name="target">As long as the block.</param>
    public bool TryRead(SsdEntry entry, TenantSecret? secret, AlignedBuffer buffer, Span<byte> target)
    {
        var record = entry.Record;
        if (target.Length != record.Length)
            return false;
        var stored = buffer.Take(record.StoredBytes);
        if (!entry.Segment.TryRead(record.Offset, stored))
        {
            // Its segment may just have been compacted away; only what is still listed is damaged.
            Discard(entry, damaged: true);
            return false;
        }

        if (!record.TryRestore(stored[..record.Length], secret, target))
        {
            Discard(entry, damaged: true);
            return false;
        }

        Interlocked.Increment(ref _read);
        return true;
    }

    /// <summary>Drops blocks for good: they are gone after a restart, too.</summary>
    /// <returns>How many.</returns>
    public int Drop(Func<SsdEntry, bool> which)
    {
        // Under the write gate, so that compaction cannot carry a dropped block on.
        lock (_writeGate)
        {
            List<SsdEntry> dropped;
            lock (_gate)
            {
                dropped = [.. _catalog.Entries.Where(which)];
                foreach (var entry in dropped)
                    _catalog.Remove(entry);
                _dropped += dropped.Count;
            }

            foreach (var entry in dropped)
                Erase(entry);
            foreach (var segment in dropped.Select(static entry => entry.Segment).Distinct())
                TryIO(segment.FlushDirectory);
            return dropped.Count;
        }
    }

    /// <summary>Drops blocks by name, for good.</summary>
    public int Drop(IEnumerable<BlockId> ids)
    {
        var wanted = ids.ToHashSet();
        return wanted.Count == 0 ? 0 : Drop(entry => wanted.Contains(entry.Block.Id));
    }

    public void Dispose()
    {
        lock (_writeGate)
        {
            foreach (var segment in _segments)
                segment.Dispose();
            _segments.Clear();
            _buffer.Dispose();
        }
    }

    private void Recover()
    {
        foreach (var number in Segment.List(_folder))
        {
            _nextSegment = Math.Max(_nextSegment, number + 1);
            var segment = Segment.Open(_folder, number, _keyCheck, out var records, out var damaged);
            _damaged += damaged;
            if (segment is null)
                continue;
            _segments.Add(segment);
            foreach (var (position, record) in records)
            {
                _nextSequence = Math.Max(_nextSequence, record.Sequence + 1);
                // Killed between moving a block and removing what it was moved from: one of the two goes.
                if (_catalog.Add(new SsdEntry(segment, position, record)) is { } unwanted)
                    Erase(unwanted);
            }
        }

        // A smaller budget than before: the oldest go.
        while (_segments.Sum(static segment => segment.Bytes) > Bytes)
            RemoveSegment(_segments[0]);
        foreach (var segment in _segments.Where(static segment => segment.LiveBytes == 0).ToArray())
            RemoveSegment(segment);
        if (_catalog.Count > 0 || _damaged > 0)
            _logger.LogInformation("The SSD tier found {Blocks} blocks, {Damaged} damaged ones were left out", _catalog.Count, _damaged);
    }

    private void Append(in TierBlock block, ReadOnlySpan<byte> body, TenantSecret? secret, int stored)
    {
        var segment = SegmentWithRoom(stored);
        var buffer = _buffer.Take(stored);
        var template = SegmentRecord.Store(block, body, secret, buffer[..body.Length], Now(), _nextSequence++);
        buffer[body.Length..].Clear();
        Place(segment, buffer, template, hits: 0, lastUse: template.WrittenAt);
        Interlocked.Increment(ref _written);
    }

    private void Place(Segment segment, ReadOnlySpan<byte> stored, SegmentRecord template, long hits, long lastUse)
    {
        var (position, record) = segment.Append(stored, offset => template with { Offset = offset });
        lock (_gate)
            _catalog.Add(new SsdEntry(segment, position, record) { Hits = hits, LastUse = lastUse });
    }

    private void Discard(SsdEntry entry, bool damaged)
    {
        lock (_gate)
        {
            if (entry.Removed)
                return;
            _catalog.Remove(entry);
            if (damaged)
                _damaged++;
            else
                _dropped++;
        }

        Erase(entry);
    }

    private void Erase(SsdEntry entry) => TryIO(() => entry.Segment.Erase(entry.Position));

    /// <summary>What fails here costs a record that comes back after a restart as an unused one, nothing else.</summary>
    private static void TryIO(Action action)
    {
        try
        {
            action();
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException or UnauthorizedAccessException)
        {
            // The segment is gone or the disk refuses: the entry is out of the catalog all the same.
        }
    }

    private long Now() => _time.GetUtcNow().ToUnixTimeMilliseconds();
}
