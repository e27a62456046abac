using Microsoft.Extensions.Logging;
using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tiers;

// Room for new blocks: which go, and which segments are compacted.
internal sealed partial class SsdTier
{
    private Segment SegmentWithRoom(int stored)
    {
        if (_active?.HasRoom(stored) == true)
            return _active;
        _active?.Seal();
        // One segment of the budget stays free, for compaction to copy into.
        while (_segments.Count >= _maxSegments)
            RemoveSegment(Sparsest());
        var compact = _segments.Count >= _maxSegments - 1;
        if (compact)
            EvictTo((long)(TargetFill * (_maxSegments - 2) * _segmentBytes));
        _active = Segment.Create(_folder, _nextSegment++, _segmentBytes, _keyCheck, _disk);
        if (_segments.Count == 0 && !_active.IsDirect)
            _logger.LogWarning("The file system of '{Folder}' knows no direct I/O: blocks on disk go through the page cache", _folder);
        lock (_gate)
            _segments.Add(_active);
        if (compact)
            Compact(Sparsest());
        return _active.HasRoom(stored) ? _active : SegmentWithRoom(stored);
    }

    private Segment Sparsest() => _segments.Where(segment => segment != _active).MinBy(static segment => segment.LiveBytes)!;

    /// <summary>Moves what is still wanted of a segment to the active one, as it is stored, and removes the segment.</summary>
    private void Compact(Segment segment)
    {
        SsdEntry[] live;
        lock (_gate)
            live = [.. _catalog.Entries.Where(entry => entry.Segment == segment).OrderBy(static entry => entry.Position)];
        foreach (var entry in live)
        {
            var stored = _buffer.Take(entry.Record.StoredBytes);
            if (!_active!.HasRoom(stored.Length))
                break;
            // A damaged body is not carried on.
            if (!segment.TryRead(entry.Record.Offset, stored) || Crc32C.Compute(stored[..entry.Record.Length]) != entry.Record.BodyCrc)
            {
                Discard(entry, damaged: true);
                continue;
            }

            TryPlace(_active, stored, entry.Record with { Sequence = _nextSequence++ }, entry.Hits, entry.LastUse, () => !entry.Removed);
        }

        RemoveSegment(segment);
        lock (_gate)
        {
            // With its file goes what was to be erased from it.
            if (segment.IsDeleted)
                _marked.Remove(segment);
        }
    }

    /// <summary>Has a tenant give up its own blocks for one more. False: it has no room for it, whatever it gives up.</summary>
    private bool MakeRoomFor(TenantKey owner, int stored, long quota)
    {
        if (stored > quota)
            return false;
        while (true)
        {
            SsdEntry? victim;
            lock (_gate)
            {
                if (_catalog.BytesOf(owner) + stored <= quota)
                    return true;
                victim = _catalog.VictimOf(owner);
            }

            if (victim is null)
                return false;
            Discard(victim, damaged: false);
        }
    }

    private void EvictTo(long bytes)
    {
        while (true)
        {
            SsdEntry? victim;
            lock (_gate)
                victim = _catalog.LiveBytes > bytes ? _catalog.Victim() : null;
            if (victim is null)
                return;
            Discard(victim, damaged: false);
        }
    }
}
