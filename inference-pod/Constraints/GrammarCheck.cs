namespace Moebius.Inference.Constraints;

/// <summary>Finds parts of a grammar that no finite text can match, such as an object that requires itself.</summary>
internal static class GrammarCheck
{
    /// <summary>Every part reachable from the root matches some text.</summary>
    public static bool CanEnd(GrammarNode root)
    {
        var parents = new Dictionary<GrammarNode, List<GrammarNode>> { [root] = [] };
        var pending = new Stack<GrammarNode>([root]);
        while (pending.TryPop(out var node))
        {
            foreach (var child in Children(node))
            {
                if (parents.TryGetValue(child, out var known))
                {
                    known.Add(node);
                    continue;
                }

                parents.Add(child, [node]);
                pending.Push(child);
            }
        }

        var ends = new HashSet<GrammarNode>();
        var changed = new Stack<GrammarNode>(parents.Keys);
        while (changed.TryPop(out var node))
        {
            if (ends.Contains(node) || !Ends(node, ends))
                continue;
            ends.Add(node);
            foreach (var parent in parents[node])
                changed.Push(parent);
        }

        return ends.Count == parents.Count;
    }

    private static bool Ends(GrammarNode node, HashSet<GrammarNode> ends) => node switch
    {
        SequenceNode sequence => sequence.Parts.All(ends.Contains),
        ChoiceNode choice => choice.Alternatives.Any(ends.Contains),
        RepeatNode repeat => repeat.Least == 0 || ends.Contains(repeat.Child),
        RuleNode rule => ends.Contains(rule.Target!),
        _ => true,
    };

    private static IReadOnlyList<GrammarNode> Children(GrammarNode node) => node switch
    {
        SequenceNode sequence => sequence.Parts,
        ChoiceNode choice => choice.Alternatives,
        RepeatNode repeat => [repeat.Child],
        RuleNode rule => [rule.Target!],
        _ => [],
    };
}
