using System.Buffers;
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

/// <summary>Where one layer's keys and values of one sequence are.</summary>
/// <param name="Blocks">Address of each block.</param>
/// <param name="Tokens">Tokens of a block.</param>
/// <param name="Keys">Bytes from a block's address to its key rows of the layer.</param>
/// <param name="Values">Bytes from a block's address to its value rows; unused when the keys hold the values.</param>
internal readonly record struct KvRows(nint[] Blocks, int Tokens, nint Keys, nint Values);

/// <summary>One sequence of a step.</summary>
/// <param name="Kv">Its keys and values, those of the step included.</param>
/// <param name="Start">Position of its first query.</param>
/// <param name="First">Row of its first query.</param>
/// <param name="Rows">Queries.</param>
internal readonly record struct AttentionSequence(KvRows Kv, int Start, int First, int Rows);

/// <summary>
/// Causal attention of sequences' new tokens over their paged keys and values. Each query head of each row is
/// computed by itself, over its keys in order, so the result does not depend on how a prompt was cut into chunks. Up to
/// four query heads that share their keys go together, so that each key and value is read once for them.
/// </summary>
internal static unsafe class AttentionKernel
{
    /// <summary>Query heads that go together.</summary>
    private const int Together = 4;

    /// <param name="workers">Threads.</param>
    /// <param name="shape">Sizes.</param>
    /// <param name="q">Queries [rows, Heads * KeyDim] of all sequences, one after the other.</param>
    /// <param name="sequences">The sequences, in the order of their rows.</param>
    /// <param name="sinks">One logit per head that takes part in the softmax and attends nothing, or null.</param>
    /// <param name="y">Result [rows, Heads * ValueDim].</param>
    public static void Run(Workers workers, AttentionShape shape, Rows q, AttentionSequence[] sequences, float* sinks, Rows y)
    {
        int shared = shape.Heads / shape.KvHeads, groups = (shared + Together - 1) / Together, each = shape.KvHeads * groups;
        long pairs = 0;
        foreach (var sequence in sequences)
            pairs += (long)sequence.Rows * (sequence.Start + sequence.Rows);
        workers.Run(checked(q.Count * each), pairs * shape.Heads * (shape.KeyDim + shape.ValueDim), task =>
        {
            int row = task / each, kvHead = task / groups % shape.KvHeads, first = task % groups * Together;
            var at = 0;
            while (row >= sequences[at].First + sequences[at].Rows)
                at++;
            int heads = Math.Min(Together, shared - first), head = kvHead * shared + first;
            var part = new Part(shape, sequences[at].Kv, sequences[at].Start + row - sequences[at].First, kvHead, q[row] + head * shape.KeyDim,
                sinks == null ? null : sinks + head, y[row] + head * shape.ValueDim);
            switch (heads)
            {
                case 1: part.Run<OneRow>(); break;
                case 2: part.Run<TwoRows>(); break;
                case 3: part.Run<ThreeRows>(); break;
                default: part.Run<FourRows>(); break;
            }
        });
    }

    /// <summary>Some query heads of one row, all with the same key-value head.</summary>
    private readonly struct Part(AttentionShape shape, KvRows kv, int position, int kvHead, float* q, float* sinks, float* y)
    {
        private readonly int _first = shape.Window is int window ? Math.Max(0, position - window + 1) : 0;

        private int Count => position - _first + 1;

        public void Run<H>()
            where H : struct, ITileRows
        {
            var stride = (Count + 15) / 16 * 16;
            var rented = ArrayPool<float>.Shared.Rent(H.Count * stride);
            fixed (float* p = rented)
            {
                Scores<H>(p, stride);
                for (var h = 0; h < H.Count; h++)
                    Softmax(p + h * stride, stride, sinks == null ? float.NegativeInfinity : sinks[h]);
                var d = 0;
                for (; d + 64 <= shape.ValueDim; d += 64)
                    Sums<H, FourRows>(p, stride, d);
                for (; d + 32 <= shape.ValueDim; d += 32)
                    Sums<H, TwoRows>(p, stride, d);
                for (; d + 16 <= shape.ValueDim; d += 16)
                    Sums<H, OneRow>(p, stride, d);
                for (; d < shape.ValueDim; d++)
                    Sum<H>(p, stride, d);
            }
            ArrayPool<float>.Shared.Return(rented);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private float* Key(int at) => (float*)(kv.Blocks[at / kv.Tokens] + kv.Keys) + (nint)(at % kv.Tokens) * shape.KeyRow + kvHead * shape.KeyDim;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private float* Value(int at) => shape.ValuesInKeys
            ? Key(at)
            : (float*)(kv.Blocks[at / kv.Tokens] + kv.Values) + (nint)(at % kv.Tokens) * shape.ValueRow + kvHead * shape.ValueDim;

        /// <summary>End of the keys that lie one after the other from position <paramref name="at"/> on.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private int BlockEnd(int at) => Math.Min(position + 1, (at / kv.Tokens + 1) * kv.Tokens);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Scores<H>(float* p, int stride)
            where H : struct, ITileRows
        {
            var dim = shape.KeyDim;
            float* q1 = q + dim, q2 = q1 + dim, q3 = q2 + dim;
            nint row = shape.KeyRow * sizeof(float);
            for (var at = _first; at <= position;)
            {
                var end = BlockEnd(at);
                var key = Key(at);
                for (; dim % WeightFormats.Group == 0 && at + 4 <= end; at += 4, key += 4 * (nint)shape.KeyRow)
                {
                    var sums = Tiles.ByFour<Float32Weights, H>(q, q1, q2, q3, (byte*)key, row, dim);
                    var to = p + (at - _first);
                    sums.GetLower().GetLower().Store(to);
                    if (H.Count > 1)
                        sums.GetLower().GetUpper().Store(to + stride);
                    if (H.Count > 2)
                        sums.GetUpper().GetLower().Store(to + 2 * stride);
                    if (H.Count > 3)
                        sums.GetUpper().GetUpper().Store(to + 3 * stride);
                }
                for (; at < end; at++, key += shape.KeyRow)
                {
                    for (var h = 0; h < H.Count; h++)
                        p[h * stride + at - _first] = Tiles.Dot<Float32Weights>(q + h * dim, (byte*)key, dim);
                }
            }
        }

        /// <summary>Scaled, then e to the power of each over their sum; whole vectors, the last filled with nothing.</summary>
        private void Softmax(float* p, int stride, float sink)
        {
            for (var j = Count; j < stride; j++)
                p[j] = float.NegativeInfinity;
            var most = Vector512.Create(float.NegativeInfinity);
            for (var j = 0; j < stride; j += 16)
            {
                var scaled = Vector512.Load(p + j) * shape.Scale;
                scaled.Store(p + j);
                most = Vector512.Max(most, scaled);
            }
            var max = sink;
            for (var lane = 0; lane < 16; lane++)
                max = Math.Max(max, most[lane]);
            var sums = Vector512<float>.Zero;
            for (var j = 0; j < stride; j += 16)
            {
                var power = Exponential.Of(Vector512.Load(p + j) - Vector512.Create(max));
                power.Store(p + j);
                sums += power;
            }
            var sum = Vector512.Create(LaneSum.One(sums) + MathF.Exp(sink - max));
            for (var j = 0; j < stride; j += 16)
                (Vector512.Load(p + j) / sum).Store(p + j);
        }

        /// <summary>Weighted sums of V vectors of the values from element <paramref name="d"/> on, over the keys in order.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Sums<H, V>(float* p, int stride, int d)
            where H : struct, ITileRows
            where V : struct, ITileRows
        {
            Vector512<float> s00 = default, s01 = default, s02 = default, s03 = default;
            Vector512<float> s10 = default, s11 = default, s12 = default, s13 = default;
            Vector512<float> s20 = default, s21 = default, s22 = default, s23 = default;
            Vector512<float> s30 = default, s31 = default, s32 = default, s33 = default;
            nint row = shape.ValuesInKeys ? shape.KeyRow : shape.ValueRow;
            for (var at = _first; at <= position;)
            {
                var v = Value(at) + d;
                var weight = p + (at - _first);
                for (var end = BlockEnd(at); at < end; at++, v += row, weight++)
                {
                    var v0 = Vector512.Load(v);
                    var v1 = V.Count > 1 ? Vector512.Load(v + 16) : default;
                    var v2 = V.Count > 2 ? Vector512.Load(v + 32) : default;
                    var v3 = V.Count > 2 ? Vector512.Load(v + 48) : default;
                    var w = Vector512.Create(*weight);
                    s00 = Vector512.FusedMultiplyAdd(w, v0, s00);
                    if (V.Count > 1)
                        s01 = Vector512.FusedMultiplyAdd(w, v1, s01);
                    if (V.Count > 2)
                        (s02, s03) = (Vector512.FusedMultiplyAdd(w, v2, s02), Vector512.FusedMultiplyAdd(w, v3, s03));
                    if (H.Count > 1)
                    {
                        w = Vector512.Create(weight[stride]);
                        s10 = Vector512.FusedMultiplyAdd(w, v0, s10);
                        if (V.Count > 1)
                            s11 = Vector512.FusedMultiplyAdd(w, v1, s11);
                        if (V.Count > 2)
                            (s12, s13) = (Vector512.FusedMultiplyAdd(w, v2, s12), Vector512.FusedMultiplyAdd(w, v3, s13));
                    }
                    if (H.Count > 2)
                    {
                        w = Vector512.Create(weight[2 * stride]);
                        s20 = Vector512.FusedMultiplyAdd(w, v0, s20);
                        if (V.Count > 1)
                            s21 = Vector512.FusedMultiplyAdd(w, v1, s21);
                        if (V.Count > 2)
                            (s22, s23) = (Vector512.FusedMultiplyAdd(w, v2, s22), Vector512.FusedMultiplyAdd(w, v3, s23));
                    }
                    if (H.Count > 3)
                    {
                        w = Vector512.Create(weight[3 * stride]);
                        s30 = Vector512.FusedMultiplyAdd(w, v0, s30);
                        if (V.Count > 1)
                            s31 = Vector512.FusedMultiplyAdd(w, v1, s31);
                        if (V.Count > 2)
                            (s32, s33) = (Vector512.FusedMultiplyAdd(w, v2, s32), Vector512.FusedMultiplyAdd(w, v3, s33));
                    }
                }
            }
            var to = y + d;
            Store<V>(to, s00, s01, s02, s03);
            if (H.Count > 1)
                Store<V>(to + shape.ValueDim, s10, s11, s12, s13);
            if (H.Count > 2)
                Store<V>(to + 2 * shape.ValueDim, s20, s21, s22, s23);
            if (H.Count > 3)
                Store<V>(to + 3 * shape.ValueDim, s30, s31, s32, s33);
        }

        private void Sum<H>(float* p, int stride, int d)
            where H : struct, ITileRows
        {
            for (var h = 0; h < H.Count; h++)
            {
                float sum = 0;
                for (var at = _first; at <= position; at++)
                    sum = MathF.FusedMultiplyAdd(p[h * stride + at - _first], Value(at)[d], sum);
                y[h * shape.ValueDim + d] = sum;
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Store<V>(float* to, Vector512<float> s0, Vector512<float> s1, Vector512<float> s2, Vector512<float> s3)
            where V : struct, ITileRows
        {
            s0.Store(to);
            if (V.Count > 1)
                s1.Store(to + 16);
            if (V.Count > 2)
            {
                s2.Store(to + 32);
                s3.Store(to + 48);
            }
        }
    }
}
