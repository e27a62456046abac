using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Hints;

namespace Moebius.Cxl.Tests.Hints;

public class HintResolverTests
{
    private static readonly Dictionary<string, IReadOnlyDictionary<string, string>> Namespaces = new()
    {
        ["prod"] = new Dictionary<string, string> { ["tier"] = "gold" },
    };

    [Fact]
    public void The_annotation_comes_first_then_the_first_match()
    {
        WorkloadHint[] workloads =
        [
            Hint("a", MemoryIntent.ReadHeavy, new V1LabelSelector { MatchLabels = new Dictionary<string, string> { ["app"] = "search" } }),
            Hint("b", MemoryIntent.WriteHeavy, new V1LabelSelector()),
        ];
        var result = HintResolver.Resolve([Pod("1", "search", "latency"), Pod("2", "search"), Pod("3", "log"), Pod("4", "search", "fast")], workloads, Namespaces);
        Assert.Equal([MemoryIntent.Latency, MemoryIntent.ReadHeavy, MemoryIntent.WriteHeavy, MemoryIntent.ReadHeavy], new[] { "1", "2", "3", "4" }.Select(uid => result.Intents[uid]));
        Assert.Equal(1, result.Refused);
    }

    [Fact]
    public void An_annotation_claims_only_what_the_profile_leaves_to_it()
    {
        WorkloadHint[] workloads = [Hint("search", MemoryIntent.Latency, new V1LabelSelector { MatchLabels = new Dictionary<string, string> { ["app"] = "search" } })];
        PodInfo[] pods = [Pod("1", "log", "latency"), Pod("2", "log", "read-heavy"), Pod("3", "search", "latency")];
        var result = HintResolver.Resolve(pods, workloads, Namespaces, [MemoryIntent.ReadHeavy]);
        // The profile itself may give what it keeps from annotations.
        Assert.Equal(new Dictionary<string, MemoryIntent> { ["2"] = MemoryIntent.ReadHeavy, ["3"] = MemoryIntent.Latency }, result.Intents);
        Assert.Equal((0, 2), (result.Refused, result.Forbidden));
        Assert.Equal(3, HintResolver.Resolve(pods, workloads, Namespaces, []).Forbidden);
        Assert.Equal(0, HintResolver.Resolve(pods, workloads, Namespaces).Forbidden);
    }

    [Fact]
    public void Whom_two_pods_claim_to_be_has_no_intent()
    {
        WorkloadHint[] workloads = [Hint("all", MemoryIntent.WriteHeavy, new V1LabelSelector())];
        var result = HintResolver.Resolve([Pod("1", "search", "latency"), Pod("2", "search"), Pod("1", "search"), Pod("1", "search", "fast")], workloads, Namespaces);
        Assert.Equal(new Dictionary<string, MemoryIntent> { ["2"] = MemoryIntent.WriteHeavy }, result.Intents);
        Assert.Equal((0, 1), (result.Refused, result.Contested));
    }

    [Fact]
    public void An_attribute_holds_for_what_is_below_and_never_overrules_a_hint()
    {
        var paths = new Dictionary<ulong, string> { [1] = "/", [2] = "/batch.slice", [3] = "/batch.slice/a/b", [4] = "/batch.slice/pod", [5] = "/batch.slice2", [6] = "/wrong" };
        var hints = new Dictionary<ulong, MemoryIntent> { [4] = MemoryIntent.Latency };
        var refused = HintResolver.AddAttributes(hints, paths, new Dictionary<ulong, string> { [2] = "write-heavy", [6] = "fast" });
        Assert.Equal(new Dictionary<ulong, MemoryIntent> { [2] = MemoryIntent.WriteHeavy, [3] = MemoryIntent.WriteHeavy, [4] = MemoryIntent.Latency }, hints);
        Assert.Equal(1, refused);
        HintResolver.AddAttributes(hints, paths, new Dictionary<ulong, string> { [1] = "balanced", [2] = "write-heavy" });
        Assert.Equal(MemoryIntent.Balanced, hints[5]);
    }

    [Theory]
    [InlineData("In", "app", new[] { "search", "x" }, true)]
    [InlineData("In", "app", new[] { "x" }, false)]
    [InlineData("NotIn", "app", new[] { "search" }, false)]
    [InlineData("NotIn", "other", new[] { "search" }, true)]
    [InlineData("Exists", "app", new string[0], true)]
    [InlineData("Exists", "other", new string[0], false)]
    [InlineData("DoesNotExist", "app", new string[0], false)]
    [InlineData("DoesNotExist", "other", new string[0], true)]
    public void Expressions_mean_what_kubernetes_means(string operation, string key, string[] values, bool selected)
    {
        var selector = new V1LabelSelector { MatchExpressions = [new V1LabelSelectorRequirement { Key = key, OperatorProperty = operation, Values = values }] };
        var result = HintResolver.Resolve([Pod("1", "search")], [Hint("a", MemoryIntent.ReadHeavy, selector)], Namespaces);
        Assert.Equal(selected, result.Intents.ContainsKey("1"));
    }

    [Fact]
    public void A_namespace_selector_needs_the_namespaces_labels()
    {
        var hint = Hint("a", MemoryIntent.ReadHeavy, new V1LabelSelector());
        hint.NamespaceSelector = new V1LabelSelector { MatchLabels = new Dictionary<string, string> { ["tier"] = "gold" } };
        var result = HintResolver.Resolve([Pod("1", "search"), Pod("2", "search") with { Namespace = "unknown" }], [hint], Namespaces);
        Assert.Equal(["1"], result.Intents.Keys);
    }

    [Theory]
    [InlineData("read-heavy", MemoryIntent.ReadHeavy)]
    [InlineData("WriteHeavy", MemoryIntent.WriteHeavy)]
    [InlineData("", null)]
    [InlineData("1", null)]
    public void An_intent_is_known_by_name_only(string text, MemoryIntent? expected) => Assert.Equal(expected, HintResolver.ParseIntent(text));

    [Fact]
    public void Cgroups_take_the_intent_of_their_pod()
    {
        const string Uid = "0f6a3c1e-9a1b-4c2d-8e3f-112233445566";
        var byCgroup = HintResolver.ByCgroup(
            new Dictionary<ulong, string> { [1] = "/", [2] = $"/kubepods/pod{Uid}", [3] = $"/kubepods/pod{Uid}/{new string('a', 64)}" },
            new Dictionary<string, MemoryIntent> { [Uid] = MemoryIntent.Latency });
        Assert.Equal([2UL, 3UL], byCgroup.Keys.Order());
    }

    private static PodInfo Pod(string uid, string app, string? annotation = null) => new(uid, "prod", new Dictionary<string, string> { ["app"] = app }, annotation);

    private static WorkloadHint Hint(string name, MemoryIntent intent, V1LabelSelector pods) => new() { Name = name, Intent = intent, PodSelector = pods };
}
