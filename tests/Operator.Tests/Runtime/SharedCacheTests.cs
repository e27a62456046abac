using k8s.Models;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Runtime;

public sealed class SharedCacheTests
{
    /// <summary>What was found out about one state of an object says nothing about the next.</summary>
    [Fact]
    public void A_mark_holds_for_one_state_of_an_object()
    {
        var cache = new SharedCache<V1ConfigMap>();
        var first = Map("1");
        cache.Mark(first, "plan");
        Assert.False(cache.IsMarked(first, "plan"));

        cache.Set(first);
        Assert.False(cache.IsMarked(first, "plan"));
        cache.Mark(first, "plan");
        Assert.True(cache.IsMarked(first, "plan"));
        Assert.False(cache.IsMarked(first, "another plan"));
        Assert.False(cache.IsMarked(Map("1"), "plan"));

        var second = Map("2");
        cache.SetOwn(second);
        cache.Mark(first, "plan");
        Assert.False(cache.IsMarked(first, "plan"));
        Assert.False(cache.IsMarked(second, "plan"));

        cache.Mark(second, "plan");
        cache.Remove(Map("3"));
        Assert.False(cache.IsMarked(second, "plan"));
    }

    private static V1ConfigMap Map(string version) => new() { Metadata = new V1ObjectMeta { Name = "one", NamespaceProperty = "shop", Uid = "u", ResourceVersion = version } };
}
