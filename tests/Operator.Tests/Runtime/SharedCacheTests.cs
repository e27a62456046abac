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

    /// <summary>The watch is often faster than the answer to a write: a write of one's own is no news to oneself.</summary>
    [Theory]
    [InlineData("the answer first", "")]
    [InlineData("the watch first", "")]
    [InlineData("the watch first, and then of another write", "2>4")]
    [InlineData("of another write before, and the write fails", "2>3")]
    [InlineData("it goes", "3>nothing")]
    [InlineData("no answer is taken in", "2>3")]
    public async Task Of_writes_of_ones_own_nobody_is_told(string course, string told)
    {
        var cache = new SharedCache<V1ConfigMap>();
        cache.Set(Map("2"));
        var heard = new List<string>();
        cache.Changed += (before, after) => heard.Add($"{before?.Metadata.ResourceVersion ?? "nothing"}>{after?.Metadata.ResourceVersion ?? "nothing"}");
        var writing = cache.WriteAsync(ObjectKey.Of(Map("2")), () =>
        {
            switch (course)
            {
                case "the watch first" or "of another write before, and the write fails" or "no answer is taken in":
                    cache.Set(Map("3"));
                    break;
                case "the watch first, and then of another write":
                    cache.Set(Map("3"));
                    cache.Set(Map("4"));
                    break;
                case "it goes":
                    cache.Set(Map("3"));
                    cache.Remove(Map("4"));
                    break;
            }

            Assert.True(heard.Count == 0 || course == "it goes");
            return course switch
            {
                "of another write before, and the write fails" => throw new TimeoutException(),
                "no answer is taken in" => Task.FromResult<V1ConfigMap?>(null),
                _ => Task.FromResult<V1ConfigMap?>(Map("3")),
            };
        });
        if (course.EndsWith("fails", StringComparison.Ordinal))
            await Assert.ThrowsAsync<TimeoutException>(() => writing);
        else
            await writing;
        cache.Set(Map("3"));
        Assert.Equal(told, string.Join(' ', heard));
        cache.Set(Map("9"));
        Assert.EndsWith(">9", heard[^1], StringComparison.Ordinal);
    }

    private static V1ConfigMap Map(string version) => new() { Metadata = new V1ObjectMeta { Name = "one", NamespaceProperty = "shop", Uid = "u", ResourceVersion = version } };
}
