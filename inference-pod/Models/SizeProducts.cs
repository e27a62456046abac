using Moebius.Crds;

namespace Moebius.Inference.Models;

/// <summary>
/// Refuses a configuration whose sizes are each in range and make a matrix that is not: a product that wraps around would agree with
/// the tensor of another shape, and be walked past its end.
/// </summary>
internal static class SizeProducts
{
    /// <exception cref="UserInputException">A product is above <see cref="ModelLimits.Size"/>; names its fields.</exception>
    public static void Check(ModelConfig config, DecoderSpec spec)
    {
        switch (spec.Attention)
        {
            // There are no more key-value heads than heads.
            case GroupedAttentionSpec grouped:
                Check(config, "num_attention_heads x head_dim", grouped.Heads, grouped.HeadDim);
                break;
            case LatentAttentionSpec latent:
                Check(config, "num_attention_heads x (qk_nope_head_dim + qk_rope_head_dim)", latent.Heads, (long)latent.NopeDim + latent.RopeDim);
                Check(config, "num_attention_heads x (qk_nope_head_dim + v_head_dim)", latent.Heads, (long)latent.NopeDim + latent.ValueDim);
                // What a query is compared with, and for one head a row of stored keys.
                Check(config, "num_attention_heads x (kv_lora_rank + qk_rope_head_dim)", latent.Heads, (long)latent.KvRank + latent.RopeDim);
                break;
            default:
                throw new NotSupportedException(spec.Attention.GetType().Name);
        }
    }

    /// <summary>The product of two fields that together are one side of a matrix.</summary>
    /// <param name="config">The configuration, for the message.</param>
    /// <param name="fields">What is multiplied, in its words.</param>
    /// <param name="count">The first, 1 or more.</param>
    /// <param name="size">The second, 1 or more.</param>
    /// <exception cref="UserInputException">It is above <see cref="ModelLimits.Size"/>.</exception>
    public static int Check(ModelConfig config, string fields, long count, long size)
    {
        var product = count * size;
        return product <= ModelLimits.Size
            ? (int)product
            : throw new UserInputException($"{config.File}: {fields} is {count} x {size} = {product}; supported is at most {ModelLimits.Size}");
    }
}
