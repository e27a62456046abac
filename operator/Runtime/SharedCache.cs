using System.Collections.Immutable;
using System.Globalization;
using k8s;
using k8s.Models;

namespace Moebius.Operator.Runtime;

/// <summary>
/// The objects of one type as the API server last told of them. Answers to own writes go in too, so that a controller
/// does not see a world older than what it has just written.
/// </summary>
/// <param name="indexer">A value to find objects by within their namespace; null for objects without one.</param>
internal sealed class SharedCache<T>(Func<T, string?>? indexer = null)
    where T : class, IKubernetesObject<V1ObjectMeta>
{
    private const int MaxTombstones = 4096;

    private readonly Lock _gate = new();
    private readonly Dictionary<ObjectKey, T> _objects = [];
    private readonly Dictionary<string, ImmutableHashSet<ObjectKey>> _byOwner = [];
    private readonly Dictionary<(string? Namespace, string Value), ImmutableHashSet<ObjectKey>> _byIndex = [];
    private readonly Dictionary<ObjectKey, ulong> _tombstones = [];
    private readonly Dictionary<ObjectKey, string> _marks = [];
    private readonly Dictionary<ObjectKey, OwnWrite> _writes = [];

    /// <summary>An object has appeared, changed or gone: before, after.</summary>
    public event Action<T?, T?>? Changed;

    /// <summary>An own write went through: for others than its writer, whom <see cref="Changed"/> does not tell of it.</summary>
    public event Action<T?, T?>? Written;

    public int Count
    {
        get
        {
            lock (_gate)
                return _objects.Count;
        }
    }

    public T? Find(ObjectKey key)
    {
        lock (_gate)
            return _objects.GetValueOrDefault(key);
    }

    /// <summary>The object of that name, where this is its controlling owner; null where it is somebody else's.</summary>
    public T? FindOwned(ObjectKey key, IKubernetesObject<V1ObjectMeta> owner) =>
        Find(key) is { } found && Controller(found)?.Uid == owner.Metadata.Uid ? found : null;

    public IReadOnlyList<T> List()
    {
        lock (_gate)
            return [.. _objects.Values];
    }

    /// <summary>Objects whose controlling owner has this UID.</summary>
    public IReadOnlyList<T> OwnedBy(string uid)
    {
        lock (_gate)
            return _byOwner.TryGetValue(uid, out var keys) ? [.. keys.Select(key => _objects[key])] : [];
    }

    /// <summary>Objects of a namespace that the indexer gives this value for.</summary>
    public IReadOnlyList<T> Indexed(string? @namespace, string value)
    {
        lock (_gate)
            return _byIndex.TryGetValue((@namespace, value), out var keys) ? [.. keys.Select(key => _objects[key])] : [];
    }

    /// <summary>Whether exactly this version of an object is here.</summary>
    public bool Knows(ObjectKey key, string? resourceVersion)
    {
        lock (_gate)
            return _objects.TryGetValue(key, out var known) && known.Metadata.ResourceVersion == resourceVersion;
    }

    /// <summary>Whether <see cref="Mark"/> was called with this mark for exactly this state of an object.</summary>
    public bool IsMarked(T resource, string mark)
    {
        var key = ObjectKey.Of(resource);
        lock (_gate)
            return _objects.TryGetValue(key, out var known) && ReferenceEquals(known, resource) && _marks.GetValueOrDefault(key) == mark;
    }

    /// <summary>Remembers what was found out about an object, until another state of it arrives.</summary>
    public void Mark(T resource, string mark)
    {
        var key = ObjectKey.Of(resource);
        lock (_gate)
        {
            if (_objects.TryGetValue(key, out var known) && ReferenceEquals(known, resource))
                _marks[key] = mark;
        }
    }

    /// <summary>Takes an object in unless a newer state of it is known.</summary>
    public void Set(T resource)
    {
        if (Take(resource, isOwn: false) is { Told: true } taken)
            Changed?.Invoke(taken.Before, resource);
    }

    /// <summary>
    /// Writes an object and takes in the answer. The watch often is faster than the answer, and cannot say whose write it
    /// tells of: word of the object waits until the answer is here, and is told only when it is of somebody else's write.
    /// </summary>
    /// <param name="key">The object.</param>
    /// <param name="write">Writes; null in place of an answer that is not to be taken in.</param>
    public async Task WriteAsync(ObjectKey key, Func<Task<T?>> write)
    {
        var before = Find(key);
        lock (_gate)
        {
            if (!_writes.TryGetValue(key, out var own))
                _writes[key] = own = new OwnWrite();
            own.UnderWay++;
        }

        try
        {
            if (await write().ConfigureAwait(false) is { } answer)
            {
                SetOwn(answer);
                Written?.Invoke(before, answer);
            }
        }
        finally
        {
            if (EndWrite(key) is var (last, now))
                Changed?.Invoke(last, now);
        }
    }

    /// <summary>
    /// Takes in the answer to one's own write. Who has written it goes on from there, so nobody is told; whatever somebody
    /// else makes of the object later has another version and is a change.
    /// </summary>
    public void SetOwn(T resource) => Take(resource, isOwn: true);

    /// <summary>Removes an object that the server says is gone.</summary>
    public void Remove(T last)
    {
        var key = ObjectKey.Of(last);
        T? before;
        lock (_gate)
        {
            if (_tombstones.Count >= MaxTombstones)
                _tombstones.Clear();
            _tombstones[key] = Version(last);
            if (!_objects.TryGetValue(key, out before) || (Version(before) > Version(last) && before.Metadata.Uid != last.Metadata.Uid))
                return;
            Drop(key);
        }

        Changed?.Invoke(before, null);
    }

    /// <summary>Takes in a complete list: what is not in it, and not newer than it, is gone.</summary>
    public void Replace(IReadOnlyList<T> list, string resourceVersion)
    {
        var listed = list.Select(ObjectKey.Of).ToHashSet();
        var at = Version(resourceVersion);
        List<T> gone;
        lock (_gate)
        {
            gone = [.. _objects.Where(entry => !listed.Contains(entry.Key) && Version(entry.Value) <= at).Select(entry => entry.Value)];
            foreach (var one in gone)
                Drop(ObjectKey.Of(one));
        }

        foreach (var one in gone)
            Changed?.Invoke(one, null);
        foreach (var one in list)
            Set(one);
    }

    /// <summary>The controlling owner, if there is one.</summary>
    public static V1OwnerReference? Controller(IKubernetesObject<V1ObjectMeta> resource) =>
        resource.Metadata.OwnerReferences?.FirstOrDefault(owner => owner.Controller == true);

    private (bool Told, T? Before) Take(T resource, bool isOwn)
    {
        var key = ObjectKey.Of(resource);
        lock (_gate)
        {
            var own = _writes.GetValueOrDefault(key);
            if (isOwn && own is not null)
                own.Answer = resource.Metadata.ResourceVersion;
            var version = Version(resource);
            if (_tombstones.TryGetValue(key, out var buried) && version <= buried)
                return default;
            if (_objects.TryGetValue(key, out var before) && version <= Version(before) && before.Metadata.Uid == resource.Metadata.Uid)
                return default;
            Put(key, resource);
            if (isOwn || own is null)
                return (!isOwn, before);
            own.Untold ??= new Word(before);
            return default;
        }
    }

    private (T? Before, T Now)? EndWrite(ObjectKey key)
    {
        lock (_gate)
        {
            var own = _writes[key];
            if (--own.UnderWay > 0)
                return null;
            _writes.Remove(key);
            // What has gone meanwhile was told of when it went.
            return own.Untold is { } word && _objects.TryGetValue(key, out var now) && now.Metadata.ResourceVersion != own.Answer ? (word.Before, now) : null;
        }
    }

    private void Put(ObjectKey key, T resource)
    {
        Unindex(key);
        _objects[key] = resource;
        if (Controller(resource)?.Uid is { } uid)
            _byOwner[uid] = _byOwner.GetValueOrDefault(uid, []).Add(key);
        if (indexer?.Invoke(resource) is { } value)
            _byIndex[(key.Namespace, value)] = _byIndex.GetValueOrDefault((key.Namespace, value), []).Add(key);
    }

    private void Drop(ObjectKey key)
    {
        Unindex(key);
        _objects.Remove(key);
    }

    private void Unindex(ObjectKey key)
    {
        if (!_objects.TryGetValue(key, out var before))
            return;
        _marks.Remove(key);
        if (Controller(before)?.Uid is { } uid)
            Remove(_byOwner, uid, key);
        if (indexer?.Invoke(before) is { } value)
            Remove(_byIndex, (key.Namespace, value), key);
    }

    private static void Remove<TKey>(Dictionary<TKey, ImmutableHashSet<ObjectKey>> index, TKey at, ObjectKey key)
        where TKey : notnull
    {
        if (!index.TryGetValue(at, out var keys))
            return;
        keys = keys.Remove(key);
        if (keys.IsEmpty)
            index.Remove(at);
        else
            index[at] = keys;
    }

    private static ulong Version(T resource) => Version(resource.Metadata.ResourceVersion);

    // Resource versions are opaque by contract and numbers in every API server there is; one that is not counts as newest.
    private static ulong Version(string? text) => ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var version) ? version : ulong.MaxValue;

    /// <summary>Writes of one's own that have no answer yet.</summary>
    private sealed class OwnWrite
    {
        public int UnderWay { get; set; }

        /// <summary>The version that the last answer gave; null: none yet.</summary>
        public string? Answer { get; set; }

        /// <summary>What the watch has said meanwhile; null: nothing.</summary>
        public Word? Untold { get; set; }
    }

    /// <summary>An object has changed from what it was before.</summary>
    private sealed record Word(T? Before);
}
