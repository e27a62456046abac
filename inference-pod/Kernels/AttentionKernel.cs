using System.Buffers;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moebius.Inference.Kernels;

/// <summary>Sizes and switches of one layer's attention.</summary>
/// <param name="Heads">Query heads.</param>
/// <param name="KvHeads">Key-value heads; each serves Heads / KvHeads query heads.</param>
/// <param name="KeyDim">Elements of a query or key head.</param>
/// <param name="ValueDim">Elements of a value head.</param>
/// <param name="Scale">Factor on the scores.</param>
/// <param name="Window">Keys that a query sees, itself included; null for all.</param>
/// <param name="ValuesInKeys">The values are the first ValueDim elements of the keys (latent attention).</param>
internal sealed record AttentionShape(int Heads, int KvHeads, int KeyDim, int ValueDim, float Scale, int? Window, bool ValuesInKeys)
{
    public int KeyRow => KvHeads * KeyDim;

    /// <summary>Stored values of a token: none when the keys hold them.</summary>
    public int ValueRow => ValuesInKeys ? 0 : KvHeads * ValueDim;
}

/// <summary>
/// Causal attention of one sequence's new tokens over its paged keys and values. Each query row is computed by itself,
/// over its keys in order, so the result does not depend on how a prompt was cut into chunks.
/// </summary>
internal static unsafe class AttentionKernel
{
    /// <param name="workers">Threads.</param>
    /// <param name="shape">Sizes.</param>
    /// <param name="q">Queries [rows, Heads * KeyDim].</param>
    /// <param name="keys">Address of the key rows of each block of the layer.</param>
    /// <param name="values">Address of the value rows of each block; unused when the keys hold the values.</param>
    /// <param name="blockTokens">Tokens of a block.</param>
    /// <param name="start">Position of the first query.</param>
    /// <param name="rows">Queries.</param>
    /// <param name="sinks">One logit per head that takes part in the softmax and attends nothing, or null.</param>
    /// <param name="y">Result [rows, Heads * ValueDim].</param>
    public static void Run(Workers workers, AttentionShape shape, float* q, nint[] keys, nint[] values, int blockTokens, int start, int rows, float* sinks, float* y)
    {
        long work = (long)rows * shape.Heads * (start + rows) * (shape.KeyDim + shape.ValueDim);
        workers.Run(rows * shape.Heads, work, task =>
        {
            int row = task / shape.Heads, head = task % shape.Heads;
            float sink = sinks != null ? sinks[head] : float.NegativeInfinity;
            Row(shape, q + ((nint)row * shape.Heads + head) * shape.KeyDim, keys, values, blockTokens, start + row, head, sink,
                y + ((nint)row * shape.Heads + head) * shape.ValueDim);
        });
    }

    // Compiled for speed at once: the first prompt must not wait for tiers.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Row(AttentionShape shape, float* q, nint[] keys, nint[] values, int blockTokens, int position, int head, float sink, float* y)
    {
        int kvHead = head / (shape.Heads / shape.KvHeads);
        int first = shape.Window is int window ? Math.Max(0, position - window + 1) : 0;
        int count = position - first + 1;
        float[] rented = ArrayPool<float>.Shared.Rent(count);
        var p = rented.AsSpan(0, count);
        for (int j = 0; j < count; j++)
        {
            int at = first + j;
            float* k = (float*)keys[at / blockTokens] + (nint)(at % blockTokens) * shape.KeyRow + kvHead * shape.KeyDim;
            p[j] = MatrixProduct.Dot<Float32Weights>(q, (byte*)k, shape.KeyDim) * shape.Scale;
        }
        float max = Math.Max(TensorPrimitives.Max(p), sink);
        TensorPrimitives.Subtract(p, max, p);
        TensorPrimitives.Exp(p, p);
        float sum = TensorPrimitives.Sum(p) + MathF.Exp(sink - max);
        TensorPrimitives.Divide(p, sum, p);

        nint[] source = shape.ValuesInKeys ? keys : values;
        int rowSize = shape.ValuesInKeys ? shape.KeyRow : shape.ValueRow;
        int offset = kvHead * (shape.ValuesInKeys ? shape.KeyDim : shape.ValueDim);
        int d = 0;
        for (; d + 64 <= shape.ValueDim; d += 64)
        {
            Vector512<float> s0 = default, s1 = default, s2 = default, s3 = default;
            for (int j = 0; j < count; j++)
            {
                int at = first + j;
                float* v = (float*)source[at / blockTokens] + (nint)(at % blockTokens) * rowSize + offset + d;
                var weight = Vector512.Create(p[j]);
                s0 = Vector512.FusedMultiplyAdd(weight, Vector512.Load(v), s0);
                s1 = Vector512.FusedMultiplyAdd(weight, Vector512.Load(v + 16), s1);
                s2 = Vector512.FusedMultiplyAdd(weight, Vector512.Load(v + 32), s2);
                s3 = Vector512.FusedMultiplyAdd(weight, Vector512.Load(v + 48), s3);
            }
            s0.Store(y + d);
            s1.Store(y + d + 16);
            s2.Store(y + d + 32);
            s3.Store(y + d + 48);
        }
        for (; d + 16 <= shape.ValueDim; d += 16)
        {
            Vector512<float> s0 = default;
            for (int j = 0; j < count; j++)
            {
                int at = first + j;
                float* v = (float*)source[at / blockTokens] + (nint)(at % blockTokens) * rowSize + offset + d;
                s0 = Vector512.FusedMultiplyAdd(Vector512.Create(p[j]), Vector512.Load(v), s0);
            }
            s0.Store(y + d);
        }
        for (; d < shape.ValueDim; d++)
        {
            float s = 0;
            for (int j = 0; j < count; j++)
            {
                int at = first + j;
                s = MathF.FusedMultiplyAdd(p[j], ((float*)source[at / blockTokens])[(nint)(at % blockTokens) * rowSize + offset + d], s);
            }
            y[d] = s;
        }
        ArrayPool<float>.Shared.Return(rented);
    }
}
