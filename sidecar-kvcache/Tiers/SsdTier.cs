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
    private readonly DiskIO _disk;
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
    private bool _isClosed;

    private SsdTier(string folder, long bytes, ulong keyCheck, TimeProvider time, ILogger logger, DiskIO disk)
    {
        _folder = folder;
        _disk = disk;
        Bytes = bytes;
        _keyCheck = keyCheck;
        _time = time;
        _logger = logger;
        _segmentBytes = Math.Min(LargestSegment, bytes / (2 * FewestSegments) / DirectFile.Alignment * DirectFile.Alignment);
        _maxSegments = (int)(bytes / _segmentBytes);
    }

    /// <summary>Where its files are.</summary>
    public string Folder => _folder;

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
    /// <param name="disk">What writes; null: the system.</param>
    /// <exception cref="UserInputException">The folder cannot be used.</exception>
    public static SsdTier Open(string folder, long bytes, ulong keyCheck, TimeProvider time, ILogger logger, DiskIO? disk = null)
    {
        var tier = new SsdTier(folder, bytes, keyCheck, time, logger, disk ?? DiskIO.System);
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
        {
            var state = _unerased.Length > 0 ? $"what was dropped is not erased yet: {_unerased}" : _state;
            return new SsdStatistics(_catalog.Count, _catalog.LiveBytes, _written, _read, _dropped, _damaged, _refused, state.Length == 0, state);
        }
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
    /// <param name="isWanted">Whether it may still be stored, asked before it is written and, while nothing can be dropped, before it can be found; null: it may.</param>
    public bool TryWrite(in TierBlock block, ReadOnlySpan<byte> body, TenantSecret? secret, long quota, Func<bool>? isWanted = null)
    {
        if (!block.IsPublic && (secret is null || _keyCheck == 0))
            throw new ArgumentException("a private block needs its tenant's key", nameof(secret));
        lock (_writeGate)
        {
            lock (_gate)
                _isWriting = true;
            try
            {
                return TryWriteAlone(block, body, secret, quota, isWanted ?? (static () => true));
            }
            finally
            {
                lock (_gate)
                    _isWriting = false;
            }
        }
    }

    private bool TryWriteAlone(in TierBlock block, ReadOnlySpan<byte> body, TenantSecret? secret, long quota, Func<bool> isWanted)
    {
        var stored = (int)DirectFile.AlignUp(body.Length);
        if (!isWanted())
            return false;
        if (Contains(block.Id))
            return true;
        if (stored > _segmentBytes || !SegmentRecord.CanHold(block.Reason) || _unerased.Length > 0 || _time.GetTimestamp() < _restUntil
            || (!block.IsPublic && !MakeRoomFor(block.Owner, stored, quota)))
        {
            Interlocked.Increment(ref _refused);
            return false;
        }

        try
        {
            var isFound = TryAppend(block, body, secret, stored, isWanted);
            if (_state.Length > 0)
                _logger.LogInformation("The SSD tier admits blocks again");
            _state = "";
            return isFound;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Interlocked.Increment(ref _refused);
            if (_state.Length == 0)
                _logger.LogWarning("The SSD tier admits no more blocks and goes on serving those it has: {Reason}", error.Message);
            _state = error.Message;
            _restUntil = _time.GetTimestamp() + (long)(RestAfterRefusal.TotalSeconds * _time.TimestampFrequency);
            return false;
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

    public void Dispose()
    {
        lock (_writeGate)
        {
            EraseMarked();
            _isClosed = true;
            foreach (var segment in _segments.Concat(_undeleted))
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
            var segment = Segment.Open(_folder, number, _keyCheck, _disk, out var records, out var foreign, out var damaged);
            _damaged += damaged;
            if (segment is null)
                continue;
            _segments.Add(segment);
            // What cannot be read cannot be evicted either: it must not come back with its secret.
            foreach (var position in foreign)
                Mark(segment, position);
            foreach (var (position, record) in records)
            {
                _nextSequence = Math.Max(_nextSequence, record.Sequence + 1);
                // Killed between moving a block and removing what it was moved from: one of the two goes.
                if (_catalog.Add(new SsdEntry(segment, position, record)) is { } unwanted)
                    Mark(unwanted.Segment, unwanted.Position);
            }
        }

        // A smaller budget than before: the oldest go.
        while (_segments.Sum(static segment => segment.Bytes) > Bytes)
            RemoveSegment(_segments[0]);
        foreach (var segment in _segments.Where(static segment => segment.LiveBytes == 0).ToArray())
            RemoveSegment(segment);
        EraseMarked();
        if (_catalog.Count > 0 || _damaged > 0)
            _logger.LogInformation("The SSD tier found {Blocks} blocks, {Damaged} damaged ones were left out", _catalog.Count, _damaged);
    }

    private bool TryAppend(in TierBlock block, ReadOnlySpan<byte> body, TenantSecret? secret, int stored, Func<bool> isWanted)
    {
        var segment = SegmentWithRoom(stored);
        var buffer = _buffer.Take(stored);
        var template = SegmentRecord.Store(block, body, secret, buffer[..body.Length], Now(), _nextSequence++);
        buffer[body.Length..].Clear();
        var isFound = TryPlace(segment, buffer, template, hits: 0, lastUse: template.WrittenAt, isWanted);
        Interlocked.Increment(ref _written);
        return isFound;
    }

    /// <summary>Writes a block. False: it was dropped meanwhile, and is not to be found.</summary>
    private bool TryPlace(Segment segment, ReadOnlySpan<byte> stored, SegmentRecord template, long hits, long lastUse, Func<bool> isWanted)
    {
        var (position, record) = segment.Append(stored, offset => template with { Offset = offset });
        lock (_gate)
        {
            if (isWanted())
            {
                // What it was moved from goes with its segment; until that is removed, whoever drops the block means both places.
                if (_catalog.Add(new SsdEntry(segment, position, record) { Hits = hits, LastUse = lastUse }) is { } old)
                    Mark(old.Segment, old.Position);
                return true;
            }

            Mark(segment, position);
            EraseAsync();
            return false;
        }
    }

    private long Now() => _time.GetUtcNow().ToUnixTimeMilliseconds();
}
