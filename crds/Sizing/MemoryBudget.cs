using Moebius.Crds.V1Alpha1;

namespace Moebius.Crds.Sizing;

/// <summary>What a pod may use.</summary>
/// <param name="FastMemory"><c>experts.fastMemory</c> in bytes; null keeps all experts.</param>
/// <param name="KVMemory"><c>serving.kvMemory</c> in bytes.</param>
/// <param name="Arena"><c>kvCache.memory</c> in bytes; 0 without a cache.</param>
/// <param name="Limit">Memory limit of the container in bytes; null for none.</param>
/// <param name="BatchTokens"><c>serving.maxBatchTokens</c>: the largest step.</param>
/// <param name="BlockTokens"><c>kvCache.blockTokens</c>: what the arena must hold one of; 0 asks for nothing.</param>
/// <param name="LayersAhead">How far experts are loaded ahead at most (<see cref="MemorySizing.LayersAhead"/>); null: on demand.</param>
public sealed record MemoryBudget(long? FastMemory, long KVMemory, long Arena, long? Limit, int BatchTokens = 0, int BlockTokens = 0, int? LayersAhead = null);

/// <summary>Whether a model fits.</summary>
/// <param name="Needed">Bytes that the container needs.</param>
/// <param name="ProposedFastMemory">The largest <c>experts.fastMemory</c> that the limit has room for, in bytes; null without a limit, or when none fits.</param>
/// <param name="Refusal">Why it cannot run, with what would be right; null when it can.</param>
public sealed record MemoryNeed(long Needed, long? ProposedFastMemory, string? Refusal);

/// <summary>The arithmetic of a pod's memory: dense weights, resident experts, keys and values, the arena, the predictor, and the program.</summary>
public static class MemorySizing
{
    /// <summary>The program itself, its buffers, and the intermediate results of most models' steps, in bytes.</summary>
    public const long ProgramBytes = 256L << 20;

    /// <summary>What of <see cref="ProgramBytes"/> is for intermediate results; those of many wide heads take more.</summary>
    public const long StepBytes = 96L << 20;

    /// <summary>The arena keeps blocks in whole pages.</summary>
    private const long ArenaPage = 4096;

    /// <summary>How many layers ahead a prefetch may ever look; null for mode OnDemand, which predicts nothing.</summary>
    public static int? LayersAhead(PrefetchSpec prefetch)
    {
        ArgumentNullException.ThrowIfNull(prefetch);
        return prefetch.Mode switch
        {
            PrefetchMode.OnDemand => null,
            PrefetchMode.Fixed => prefetch.Horizon ?? 0,
            _ => prefetch.MaxHorizon,
        };
    }

    /// <summary>Holds a model against a budget.</summary>
    public static MemoryNeed Plan(ModelFacts facts, MemoryBudget budget)
    {
        var resident = Math.Min(budget.FastMemory ?? facts.ExpertBytes, facts.ExpertBytes);
        // Where all experts are resident there is nothing to foresee.
        var partly = Fixed(facts, budget, predicts: true);
        var all = Fixed(facts, budget, predicts: false);
        var fixedBytes = resident < facts.ExpertBytes ? partly : all;
        var needed = Sum(fixedBytes.Bytes, resident);
        if (budget.FastMemory is { } memory && facts.ExpertBytes > 0 && memory < facts.SmallestExpertBytes)
            return new MemoryNeed(needed, Proposal(facts, budget, partly.Bytes, all.Bytes), $"experts.fastMemory: {Quantities.Format(memory)} is {Quantities.Format(facts.SmallestExpertBytes - memory)} less than the {Quantities.Format(facts.SmallestExpertBytes)} that one token's experts in one layer take: raise it");
        if (budget.Arena > 0 && budget.BlockTokens > 0 && SmallestArena(facts, budget) is var smallest && budget.Arena < smallest)
            return new MemoryNeed(needed, null, $"kvCache.memory: {Quantities.Format(budget.Arena)} is less than the {Quantities.Format(smallest)} ({smallest}) that one block of {budget.BlockTokens} tokens takes: raise it, lower kvCache.blockTokens, or set kvCache.enabled to false");
        if (budget.Limit is not { } limit || needed <= limit)
            return new MemoryNeed(needed, Proposal(facts, budget, partly.Bytes, all.Bytes), null);

        var parts = $"{Quantities.Format(facts.DenseBytes)} dense weights, {Quantities.Format(resident)} experts, {Quantities.Format(budget.KVMemory)} serving.kvMemory, {Quantities.Format(budget.Arena)} kvCache.memory, {Quantities.Format(fixedBytes.Program)} program{(fixedBytes.Predictor > 0 ? $", {Quantities.Format(fixedBytes.Predictor)} predictor of experts.prefetch" : "")}";
        var message = $"the memory limit of {Quantities.Format(limit)} is {Quantities.Format(needed - limit)} less than the {Quantities.Format(needed)} that is needed ({parts})";
        return Proposal(facts, budget, partly.Bytes, all.Bytes) switch
        {
            // Without the predictor there may be room for all.
            { } proposal when proposal > resident => new MemoryNeed(needed, proposal, $"{message}: raise the limit, or set experts.fastMemory to {proposal} ({Quantities.Format(proposal)}): with all experts in memory there is no predictor"),
            { } proposal => new MemoryNeed(needed, proposal, $"{message}: raise the limit, or set experts.fastMemory to {proposal} ({Quantities.Format(proposal)}) or less"),
            null => new MemoryNeed(needed, null, $"{message}: raise the limit to that{Least(Sum(partly.Bytes, facts.SmallestExpertBytes))}, or lower serving.kvMemory and kvCache.memory{(Sum(all.Bytes, resident) <= limit ? ", or set experts.prefetch.mode to OnDemand" : "")}"),
        };

        string Least(long least) => least < needed ? $", or to {Quantities.Format(least)} and set experts.fastMemory to {facts.SmallestExpertBytes}" : "";
    }

    /// <summary>One block, and its counter.</summary>
    private static long SmallestArena(ModelFacts facts, MemoryBudget budget)
    {
        var pages = (((Int128)facts.KVBytesPerToken * budget.BlockTokens) + ArenaPage - 1) / ArenaPage;
        return (long)Int128.Min((pages * ArenaPage) + sizeof(long), long.MaxValue);
    }

    /// <summary>All but the experts.</summary>
    private static (long Bytes, long Program, long Predictor) Fixed(ModelFacts facts, MemoryBudget budget, bool predicts)
    {
        var (ahead, predictor) = predicts && budget.LayersAhead is { } layers && facts.Predictor is { } known ? (Math.Min(layers, known.Layers), known) : (0, null);
        var step = ((Int128)facts.StepBytesPerToken + ((Int128)(predictor?.StepBytesPerLayerAhead ?? 0) * ahead)) * budget.BatchTokens;
        var program = Sum(ProgramBytes, (long)Int128.Clamp(step - StepBytes, 0, long.MaxValue));
        var bytes = predictor?.BytesFor(ahead) ?? 0;
        return (Sum(facts.DenseBytes, budget.KVMemory, budget.Arena, program, bytes), program, bytes);
    }

    private static long? Proposal(ModelFacts facts, MemoryBudget budget, long partly, long all)
    {
        if (budget.Limit is not { } limit)
            return null;
        if (limit - all >= facts.ExpertBytes)
            return facts.ExpertBytes;
        return limit - partly >= facts.SmallestExpertBytes ? limit - partly : null;
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
