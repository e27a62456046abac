namespace Moebius.Crds.Sizing;

/// <summary>What a pod may use.</summary>
/// <param name="FastMemory"><c>experts.fastMemory</c> in bytes; null keeps all experts.</param>
/// <param name="KVMemory"><c>serving.kvMemory</c> in bytes.</param>
/// <param name="Arena"><c>kvCache.memory</c> in bytes; 0 without a cache.</param>
/// <param name="Limit">Memory limit of the container in bytes; null for none.</param>
/// <param name="BatchTokens"><c>serving.maxBatchTokens</c>: the largest step.</param>
/// <param name="BlockTokens"><c>kvCache.blockTokens</c>: what the arena must hold one of; 0 asks for nothing.</param>
public sealed record MemoryBudget(long? FastMemory, long KVMemory, long Arena, long? Limit, int BatchTokens = 0, int BlockTokens = 0);

/// <summary>Whether a model fits.</summary>
/// <param name="Needed">Bytes that the container needs.</param>
/// <param name="ProposedFastMemory">The largest <c>experts.fastMemory</c> that the limit has room for, in bytes; null without a limit, or when none fits.</param>
/// <param name="Refusal">Why it cannot run, with what would be right; null when it can.</param>
public sealed record MemoryNeed(long Needed, long? ProposedFastMemory, string? Refusal);

/// <summary>The arithmetic of a pod's memory: dense weights, resident experts, keys and values, the arena, and the program.</summary>
public static class MemorySizing
{
    /// <summary>The program itself, its buffers, and the intermediate results of most models' steps, in bytes.</summary>
    public const long ProgramBytes = 256L << 20;

    /// <summary>What of <see cref="ProgramBytes"/> is for intermediate results; those of many wide heads take more.</summary>
    public const long StepBytes = 96L << 20;

    /// <summary>The arena keeps blocks in whole pages.</summary>
    private const long ArenaPage = 4096;

    /// <summary>Holds a model against a budget.</summary>
    public static MemoryNeed Plan(ModelFacts facts, MemoryBudget budget)
    {
        var program = Program(facts, budget);
        var fixedBytes = Sum(facts.DenseBytes, budget.KVMemory, budget.Arena, program);
        var resident = Math.Min(budget.FastMemory ?? facts.ExpertBytes, facts.ExpertBytes);
        var needed = Sum(fixedBytes, resident);
        if (budget.FastMemory is { } memory && facts.ExpertBytes > 0 && memory < facts.SmallestExpertBytes)
            return new MemoryNeed(needed, Proposal(facts, budget, fixedBytes), $"experts.fastMemory: {Quantities.Format(memory)} is {Quantities.Format(facts.SmallestExpertBytes - memory)} less than the {Quantities.Format(facts.SmallestExpertBytes)} that one token's experts in one layer take: raise it");
        if (budget.Arena > 0 && budget.BlockTokens > 0 && SmallestArena(facts, budget) is var smallest && budget.Arena < smallest)
            return new MemoryNeed(needed, null, $"kvCache.memory: {Quantities.Format(budget.Arena)} is less than the {Quantities.Format(smallest)} ({smallest}) that one block of {budget.BlockTokens} tokens takes: raise it, lower kvCache.blockTokens, or set kvCache.enabled to false");
        if (budget.Limit is not { } limit || needed <= limit)
            return new MemoryNeed(needed, Proposal(facts, budget, fixedBytes), null);

        var parts = $"{Quantities.Format(facts.DenseBytes)} dense weights, {Quantities.Format(resident)} experts, {Quantities.Format(budget.KVMemory)} serving.kvMemory, {Quantities.Format(budget.Arena)} kvCache.memory, {Quantities.Format(program)} program";
        var message = $"the memory limit of {Quantities.Format(limit)} is {Quantities.Format(needed - limit)} less than the {Quantities.Format(needed)} that is needed ({parts})";
        return Proposal(facts, budget, fixedBytes) is { } proposal && proposal < resident
            ? new MemoryNeed(needed, proposal, $"{message}: raise the limit, or set experts.fastMemory to {proposal} ({Quantities.Format(proposal)}) or less")
            : new MemoryNeed(needed, null, $"{message}: raise the limit to that{Least(Sum(fixedBytes, facts.SmallestExpertBytes))}, or lower serving.kvMemory and kvCache.memory");

        string Least(long least) => least < needed ? $", or to {Quantities.Format(least)} and set experts.fastMemory to {facts.SmallestExpertBytes}" : "";
    }

    /// <summary>One block, and its counter.</summary>
    private static long SmallestArena(ModelFacts facts, MemoryBudget budget)
    {
        var pages = (((Int128)facts.KVBytesPerToken * budget.BlockTokens) + ArenaPage - 1) / ArenaPage;
        return (long)Int128.Min((pages * ArenaPage) + sizeof(long), long.MaxValue);
    }

    private static long Program(ModelFacts facts, MemoryBudget budget)
    {
        var step = (Int128)facts.StepBytesPerToken * budget.BatchTokens;
        return step > long.MaxValue ? long.MaxValue : Sum(ProgramBytes, Math.Max(0, (long)step - StepBytes));
    }

    private static long? Proposal(ModelFacts facts, MemoryBudget budget, long fixedBytes)
    {
        if (budget.Limit is not { } limit || limit - fixedBytes < facts.SmallestExpertBytes)
            return null;
        return Math.Min(limit - fixedBytes, facts.ExpertBytes);
    }

    // Sizes come from files and manifests: a sum past the largest number is that number, and fits nowhere.
    private static long Sum(params ReadOnlySpan<long> parts)
    {
        Int128 sum = 0;
        foreach (var part in parts)
            sum += part;
        return sum > long.MaxValue ? long.MaxValue : (long)sum;
    }
}
