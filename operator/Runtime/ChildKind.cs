using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Runtime;

/// <summary>A kind of object that a plan may hold.</summary>
internal interface IChildKind
{
    Type Entity { get; }

    ResourceType Type { get; }

    /// <summary>Whether an object that is not planned any more is removed.</summary>
    bool Prunable { get; }

    /// <summary>Whether the API server knows the kind.</summary>
    Func<ServerCapabilities, bool> IsServed { get; }

    IInformer Informer { get; }

    /// <summary>Tells of each object that appears, changes or goes who controls it, and its namespace.</summary>
    /// <returns>Ends it.</returns>
    Action OnChange(Action<V1OwnerReference, string?> handler);

    IKubernetesObject<V1ObjectMeta>? Cached(ObjectKey key);

    /// <summary>Whether this state of an object is known to have everything that the plan of this hash asks for.</summary>
    bool IsAsPlanned(IKubernetesObject<V1ObjectMeta> live, string hash);

    void SetAsPlanned(IKubernetesObject<V1ObjectMeta> live, string hash);

    /// <summary>What the server made of the object's plan when it was last applied; null when it took it as it was, or nothing was applied yet.</summary>
    ServerShape? ShapeOf(ObjectKey key);

    IEnumerable<IKubernetesObject<V1ObjectMeta>> OwnedBy(string uid);

    Task<IKubernetesObject<V1ObjectMeta>?> FindAsync(ObjectKey key, CancellationToken cancellationToken);

    Task CreateAsync(ObjectKey key, JsonObject body, CancellationToken cancellationToken);

    /// <summary>Makes the fields that creating an object gave its creator the applier's, so that an apply can drop them.</summary>
    /// <returns>The version that the object has now.</returns>
    Task<string> OwnAsApplierAsync(IKubernetesObject<V1ObjectMeta> live, CancellationToken cancellationToken);

    /// <summary>Applies a plan, and remembers what the server makes of it.</summary>
    /// <returns>What it has made otherwise; null when nothing.</returns>
    Task<ServerShape?> ApplyAsync(ObjectKey key, JsonObject body, string hash, bool force, CancellationToken cancellationToken);

    Task DeleteAsync(IKubernetesObject<V1ObjectMeta> resource, CancellationToken cancellationToken);
}

/// <inheritdoc />
internal sealed class ChildKind<T>(ApiClient api, Informer<T> informer) : IChildKind
    where T : class, IKubernetesObject<V1ObjectMeta>
{
    private readonly SharedCache<T> _cache = informer.Cache;
    private readonly ConcurrentDictionary<ObjectKey, ServerShape> _shapes = Shapes(informer.Cache);

    public Type Entity => typeof(T);

    public ResourceType Type { get; } = ResourceType.Of<T>();

    public bool Prunable { get; init; } = true;

    public Func<ServerCapabilities, bool> IsServed { get; init; } = _ => true;

    public IInformer Informer => informer;

    public Action OnChange(Action<V1OwnerReference, string?> handler)
    {
        _cache.Changed += Tell;
        return () => _cache.Changed -= Tell;

        void Tell(T? before, T? after)
        {
            foreach (var child in new[] { before, after }.OfType<T>())
            {
                if (SharedCache<T>.Controller(child) is { } owner)
                    handler(owner, child.Metadata.NamespaceProperty);
            }
        }
    }

    public IKubernetesObject<V1ObjectMeta>? Cached(ObjectKey key) => _cache.Find(key);

    public bool IsAsPlanned(IKubernetesObject<V1ObjectMeta> live, string hash) => _cache.IsMarked((T)live, hash);

    public void SetAsPlanned(IKubernetesObject<V1ObjectMeta> live, string hash) => _cache.Mark((T)live, hash);

    public ServerShape? ShapeOf(ObjectKey key) => _shapes.GetValueOrDefault(key);

    public IEnumerable<IKubernetesObject<V1ObjectMeta>> OwnedBy(string uid) => _cache.OwnedBy(uid);

    public async Task<IKubernetesObject<V1ObjectMeta>?> FindAsync(ObjectKey key, CancellationToken cancellationToken) =>
        await api.FindAsync<T>(key, cancellationToken).ConfigureAwait(false);

    public Task CreateAsync(ObjectKey key, JsonObject body, CancellationToken cancellationToken) =>
        _cache.WriteAsync(key, async () => await api.CreateAsync<T>(Type.Collection(key.Namespace), body, cancellationToken).ConfigureAwait(false));

    public Task<string> OwnAsApplierAsync(IKubernetesObject<V1ObjectMeta> live, CancellationToken cancellationToken) =>
        FieldOwnership.BecomeApplierAsync(api, Type.Item(ObjectKey.Of(live)), live.Metadata.ResourceVersion, cancellationToken);

    public async Task<ServerShape?> ApplyAsync(ObjectKey key, JsonObject body, string hash, bool force, CancellationToken cancellationToken)
    {
        T? answer = null;
        await _cache.WriteAsync(key, async () => answer = await api.ApplyAsync<T>(key, body, force, cancellationToken).ConfigureAwait(false)).ConfigureAwait(false);
        // The version that it is to have is no field that it keeps.
        var applied = (JsonObject)body.DeepClone();
        ((JsonObject)applied["metadata"]!).Remove("resourceVersion");
        var shape = ServerShape.Of(hash, applied, WireJson.ToNode(answer!));
        if (shape.IsPlan)
        {
            _shapes.TryRemove(key, out _);
            return null;
        }

        _shapes[key] = shape;
        return shape;
    }

    public Task DeleteAsync(IKubernetesObject<V1ObjectMeta> resource, CancellationToken cancellationToken) => api.DeleteAsync((T)resource, cancellationToken);

    // Kept only as long as their objects are.
    private static ConcurrentDictionary<ObjectKey, ServerShape> Shapes(SharedCache<T> cache)
    {
        var shapes = new ConcurrentDictionary<ObjectKey, ServerShape>();
        cache.Changed += (before, after) =>
        {
            if (after is null && before is not null)
                shapes.TryRemove(ObjectKey.Of(before), out _);
        };
        return shapes;
    }
}
