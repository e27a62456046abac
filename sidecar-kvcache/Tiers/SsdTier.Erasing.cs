using Microsoft.Extensions.Logging;

namespace Moebius.KvCache.Tiers;

/// <summary>What was dropped from the disk.</summary>
/// <param name="Blocks">Blocks that are not found any more.</param>
/// <param name="Erased">
/// Ends when these and all that were dropped before are erased from the disk itself. Null: they are; otherwise where and why they are
/// not, and may be found again after a restart.
/// </param>
internal readonly record struct Dropped(int Blocks, Task<string?> Erased);

// What goes, and that it stays away: a block is not found any more at once, whatever the disk does, and is then erased beside the calls.
internal sealed partial class SsdTier
{
    // Places in the directories of blocks that are not to be found any more, until they are erased from the disk itself.
    private readonly Dictionary<Segment, List<int>> _marked = [];

    // What is removed, whose files the disk did not let go of yet.
    private readonly List<Segment> _undeleted = [];
    private TaskCompletionSource<string?>? _awaited;
    private bool _isErasing;
    private bool _isWriting;
    private bool _hasDeleted;
    private string _unerased = "";

    /// <summary>Drops blocks for good: they are gone after a restart, too, once they are erased.</summary>
    public Dropped Drop(Func<SsdEntry, bool> which)
    {
        lock (_gate)
            return Drop([.. _catalog.Entries.Where(which)]);
    }

    /// <summary>Drops blocks by name, for good.</summary>
    public Dropped Drop(IEnumerable<BlockId> ids)
    {
        lock (_gate)
            return Drop([.. ids.Distinct().Select(id => _catalog.TryFind(id, out var entry) ? entry : null).OfType<SsdEntry>()]);
    }

    /// <summary>Tries again to erase what the disk did not let be erased.</summary>
    public void RetryErasing()
    {
        lock (_gate)
        {
            if (_unerased.Length > 0)
                EraseAsync();
        }
    }

    // Under the gate.
    private Dropped Drop(List<SsdEntry> entries)
    {
        foreach (var entry in entries)
        {
            _catalog.Remove(entry);
            Mark(entry.Segment, entry.Position);
        }

        _dropped += entries.Count;
        return new Dropped(entries.Count, EraseAsync());
    }

    // Under the gate.
    private void Mark(Segment segment, int position)
    {
        if (!_marked.TryGetValue(segment, out var positions))
            _marked[segment] = positions = [];
        positions.Add(position);
    }

    /// <summary>Drops a block that gives way to others or cannot be read. Nobody waits for its erasure, which comes to the disk with the next that counts.</summary>
    private void Discard(SsdEntry entry, bool damaged)
    {
        lock (_gate)
        {
            if (entry.Removed)
                return;
            _catalog.Remove(entry);
            Mark(entry.Segment, entry.Position);
            if (damaged)
                _damaged++;
            else
                _dropped++;
        }

        try
        {
            // At once, so that it does not come back after a kill either.
            entry.Segment.Erase(entry.Position);
        }
        catch (Exception error) when (IsFailure(error))
        {
            // It stays marked.
        }
    }

    /// <summary>Has what is marked erased. Under the gate.</summary>
    /// <returns>Ends when all that was marked before is erased or could not be.</returns>
    private Task<string?> EraseAsync()
    {
        // A block that is being written may be marked when it is; whoever writes it asked whether it is wanted before that was noted.
        if (_marked.Count == 0 && _undeleted.Count == 0 && !_hasDeleted && !_isErasing && !_isWriting)
            return Task.FromResult<string?>(null);
        _awaited ??= new TaskCompletionSource<string?>(TaskCreationOptions.RunContinuationsAsynchronously);
        if (!_isErasing)
        {
            _isErasing = true;
            _ = Task.Run(EraseAwaited);
        }

        return _awaited.Task;
    }

    private void EraseAwaited()
    {
        while (true)
        {
            TaskCompletionSource<string?> done;
            lock (_gate)
            {
                _isErasing = _awaited is not null;
                if (_awaited is null)
                    return;
                (done, _awaited) = (_awaited, null);
            }

            string? failure;
            try
            {
                lock (_writeGate)
                    failure = EraseMarked();
            }
            catch (Exception error)
            {
                // Whatever it is, whoever waits must hear of it.
                failure = $"the disk tier in '{_folder}' did not erase it: {error.GetType().Name}";
            }

            done.SetResult(failure);
        }
    }

    /// <summary>Erases what is marked; what cannot be erased goes with its whole segment. Under the write gate.</summary>
    /// <returns>Why something may be found again after a restart; null: nothing may.</returns>
    private string? EraseMarked()
    {
        if (_isClosed)
            return $"the disk tier in '{_folder}' is closed";
        (Segment Segment, int[] Positions)[] marked;
        lock (_gate)
            marked = [.. _marked.Select(static pair => (pair.Key, pair.Value.ToArray()))];
        string? failure = null;
        foreach (var (segment, positions) in marked)
        {
            if (!segment.IsDeleted && !_undeleted.Contains(segment) && Failure(() => Erase(segment, positions)) is not null)
                RemoveSegment(segment);
            lock (_gate)
            {
                // What was marked meanwhile comes behind.
                _marked[segment].RemoveRange(0, positions.Length);
                if (_marked[segment].Count == 0)
                    _marked.Remove(segment);
            }
        }

        foreach (var segment in _undeleted.ToArray())
        {
            failure = Failure(segment.Delete) ?? failure;
            if (!segment.IsDeleted)
                continue;
            _undeleted.Remove(segment);
            _hasDeleted = true;
        }

        if (_hasDeleted && Failure(() => _disk.FlushFolder(_folder)) is var unflushed)
        {
            _hasDeleted = unflushed is not null;
            failure ??= unflushed;
        }

        Report(failure);
        return failure is null ? null : $"the disk tier in '{_folder}' did not erase it: {failure}";
    }

    private static void Erase(Segment segment, int[] positions)
    {
        foreach (var position in positions)
            segment.Erase(position);
        segment.FlushDirectory();
    }

    private void Report(string? failure)
    {
        var before = _unerased;
        lock (_gate)
            _unerased = failure ?? "";
        if (before.Length == 0 && failure is not null)
            _logger.LogWarning("The SSD tier cannot erase what was dropped; it is not served, but may be found again after a restart. No more blocks are admitted, and it is tried again: {Reason}", failure);
        if (before.Length > 0 && failure is null)
            _logger.LogInformation("The SSD tier has erased what was dropped");
    }

    private void RemoveSegment(Segment segment)
    {
        lock (_gate)
        {
            foreach (var entry in _catalog.Entries.Where(entry => entry.Segment == segment).ToArray())
            {
                _catalog.Remove(entry);
                _dropped++;
            }

            _segments.Remove(segment);
            _hasDeleted = true;
            if (_active == segment)
                _active = null;
        }

        if (Failure(segment.Delete) is not null)
            _undeleted.Add(segment);
    }

    /// <summary>What the disk said against it; null: it is done.</summary>
    private static string? Failure(Action action)
    {
        try
        {
            action();
            return null;
        }
        catch (Exception error) when (IsFailure(error))
        {
            return error.Message;
        }
    }

    private static bool IsFailure(Exception error) => error is IOException or ObjectDisposedException or UnauthorizedAccessException;
}
