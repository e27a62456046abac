namespace Moebius.Inference.Models;

/// <summary>What a step's intermediate results take: attention's and the feed-forward's in turn, beside what passes between them.</summary>
internal static class StepMemory
{
    /// <summary>Bytes of one token in the layer that takes the most, in fp32. What it counts is what the layers take.</summary>
    public static long BytesPerToken(DecoderSpec spec)
    {
        // The residual, its change, and what is normed.
        var passing = 3L * spec.Hidden;
        var most = Math.Max(Attention(spec.Attention), spec.FeedForward.Max(block => FeedForward(block, spec.Hidden)));
        return sizeof(float) * (passing + most);
    }

    private static long Attention(AttentionSpec attention) => attention switch
    {
        GroupedAttentionSpec grouped => 2L * grouped.HeadDim * (grouped.Heads + grouped.KvHeads),
        LatentAttentionSpec latent => (long)latent.Heads * (latent.NopeDim + latent.RopeDim + latent.KvRank + latent.RopeDim + latent.KvRank + latent.ValueDim)
            + latent.KvRank + latent.RopeDim + (latent.QueryRank ?? 0),
        _ => throw new NotSupportedException(attention.GetType().Name),
    };

    private static long FeedForward(FeedForwardSpec block, int hidden) => block switch
    {
        DenseSpec dense => 2L * dense.Intermediate,
        MoeSpec moe => moe.Router.Experts + (long)moe.Router.TopK * (hidden + 2L * moe.Intermediate) + (moe.Shared is { } shared ? hidden + 2L * shared.Intermediate : 0),
        _ => throw new NotSupportedException(block.GetType().Name),
    };
}
