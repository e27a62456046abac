using Moebius.Inference.Kernels;

namespace Moebius.Inference.Tests.Kernels;

/// <summary>
/// The kernels on shapes that nobody chose, against sums in double precision; what lies beside a result stays as it was.
/// </summary>
public unsafe class RandomShapeTests
{
    private const float Untouched = 12345;

    [Property(MaxTest = 200)]
    public void Products_are_the_sums_and_nothing_beside_them_is_written(AnyInt seed)
    {
        var random = new Random(seed.Item);
        int rows = random.Next(1, 70), columns = random.Next(1, 70), k = random.Next(1, 140), from = random.Next(columns), to = random.Next(from, columns + 1);
        int xRows = random.Next(1, 80), xStride = k + random.Next(3), yStride = columns + random.Next(3);
        var format = random.GetItems(Enum.GetValues<WeightFormat>(), 1)[0];
        var stored = TileTests.Store(format, TileTests.Values(columns * k, seed.Item), k);
        var weights = format == WeightFormat.Float32 ? TileTests.Values(columns * k, seed.Item) : TileTests.Widen(format, stored, columns, k);
        float[] x = TileTests.Values(xRows * xStride, seed.Item + 1), bias = TileTests.Values(columns, seed.Item + 2), y = Filled(rows * yStride);
        int[] index = [.. Enumerable.Range(0, rows).Select(_ => random.Next(xRows))];
        var biased = random.Next(2) == 0;
        fixed (float* px = x, pb = bias, py = y)
        fixed (byte* pw = stored)
        fixed (int* pi = index)
            MatrixProduct.Run(px, xStride, WeightRows.Packed(pw, format, k, biased ? pb : null), py, yStride, rows, from, to, k, pi);
        for (var i = 0; i < y.Length; i++)
        {
            int row = i / yStride, column = i % yStride;
            double expected = Untouched;
            if (column >= from && column < to)
                expected = (biased ? bias[column] : 0) + Enumerable.Range(0, k).Sum(p => (double)x[index[row] * xStride + p] * weights[column * k + p]);
            Assert.Equal(expected, y[i], 1e-4);
        }
    }

    [Property(MaxTest = 100)]
    public void Attention_is_the_weighted_sum_of_what_each_row_may_see(AnyInt seed)
    {
        var random = new Random(seed.Item);
        int kvHeads = random.Next(1, 4), heads = kvHeads * random.Next(1, 8), valueDim = random.Next(1, 100);
        bool shared = random.Next(3) == 0, sinking = random.Next(2) == 0;
        int keyDim = shared ? valueDim + random.Next(0, 40) : random.Next(1, 100), blockTokens = random.Next(1, 9);
        int? window = random.Next(2) == 0 ? random.Next(1, 12) : null;
        var shape = new AttentionShape(heads, kvHeads, keyDim, valueDim, 0.3f, window, shared);
        var blockFloats = blockTokens * (shape.KeyRow + shape.ValueRow);
        (int Start, int Rows)[] parts = [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => (random.Next(20), random.Next(1, 6)))];
        var rows = parts.Sum(part => part.Rows);
        float[] q = TileTests.Values(rows * heads * keyDim, seed.Item), sinks = TileTests.Values(heads, seed.Item + 1), y = Filled(rows * heads * valueDim + 16);
        float[][] caches = [.. parts.Select((part, at) => TileTests.Values((part.Start + part.Rows + blockTokens - 1) / blockTokens * blockFloats, seed.Item + 2 + at))];
        var pins = caches.Select(cache => System.Runtime.InteropServices.GCHandle.Alloc(cache, System.Runtime.InteropServices.GCHandleType.Pinned)).ToArray();
        try
        {
            var sequences = new AttentionSequence[parts.Length];
            for (int at = 0, first = 0; at < parts.Length; first += parts[at++].Rows)
            {
                var address = pins[at].AddrOfPinnedObject();
                nint[] blocks = [.. Enumerable.Range(0, caches[at].Length / blockFloats).Select(block => address + (nint)block * blockFloats * sizeof(float))];
                sequences[at] = new AttentionSequence(new KvRows(blocks, blockTokens, 0, (nint)blockTokens * shape.KeyRow * sizeof(float)), parts[at].Start, first, parts[at].Rows);
            }
            using var workers = new Workers(1);
            fixed (float* pq = q, ps = sinks, py = y)
                AttentionKernel.Run(workers, shape, new Rows(pq, rows, heads * keyDim), sequences, sinking ? ps : null, new Rows(py, rows, heads * valueDim));
        }
        finally
        {
            foreach (var pin in pins)
                pin.Free();
        }

        Assert.All(y[^16..], beside => Assert.Equal(Untouched, beside));
        for (int at = 0, row = 0; at < parts.Length; at++)
        {
            for (var own = 0; own < parts[at].Rows; own++, row++)
            {
                int position = parts[at].Start + own, first = window is int w ? Math.Max(0, position - w + 1) : 0;
                for (var head = 0; head < heads; head++)
                {
                    var kvHead = head / (heads / kvHeads);
                    double[] powers = [.. Enumerable.Range(first, position + 1 - first).Select(j => Math.Exp(0.3f * Enumerable.Range(0, keyDim).Sum(d => (double)q[(row * heads + head) * keyDim + d] * Key(at, j, kvHead, d))))];
                    var sum = powers.Sum() + (sinking ? Math.Exp(sinks[head]) : 0);
                    for (var d = 0; d < valueDim; d++)
                        Assert.Equal(powers.Select((power, j) => power * (shared ? Key(at, first + j, kvHead, d) : Value(at, first + j, kvHead, d))).Sum() / sum, y[(row * heads + head) * valueDim + d], 1e-5);
                }
            }
        }

        float Key(int at, int token, int head, int d) => caches[at][token / blockTokens * blockFloats + token % blockTokens * shape.KeyRow + head * keyDim + d];

        float Value(int at, int token, int head, int d) => caches[at][token / blockTokens * blockFloats + blockTokens * shape.KeyRow + token % blockTokens * shape.ValueRow + head * valueDim + d];
    }

    [Property(MaxTest = 60)]
    public void Experts_give_the_same_at_once_and_in_tiles_of_columns(AnyInt seed)
    {
        var random = new Random(seed.Item);
        int hidden = random.Next(1, 100), width = random.Next(1, 100), xRows = random.Next(1, 30);
        int[] counts = [.. Enumerable.Range(0, random.Next(1, 5)).Select(_ => random.Next(0, 40))];
        var rows = counts.Sum();
        var format = random.GetItems(Enum.GetValues<WeightFormat>(), 1)[0];
        byte[][] stored = [.. counts.SelectMany((_, at) => new[] { Store(width, hidden, 3 * at), Store(width, hidden, 3 * at + 1), Store(hidden, width, 3 * at + 2) })];
        var pins = stored.Select(matrix => System.Runtime.InteropServices.GCHandle.Alloc(matrix, System.Runtime.InteropServices.GCHandleType.Pinned)).ToArray();
        int[] index = [.. Enumerable.Range(0, rows).Select(_ => random.Next(xRows))];
        float[] x = TileTests.Values(xRows * hidden, seed.Item), y = Filled(rows * hidden + 16), tile = Filled(rows * hidden + 16);
        try
        {
            using var kernels = new TensorKernels(new Workers(random.Next(1, 4)));
            var experts = new GatedWeights[counts.Length];
            for (int at = 0, first = 0; at < counts.Length; first += counts[at++])
                experts[at] = new GatedWeights(new GatedMatrices(Matrix(3 * at, hidden), Matrix(3 * at + 1, hidden), Matrix(3 * at + 2, width)), first, counts[at]);
            var padded = GatedExperts.Padded(width);
            float[] inner = new float[(rows + 1) * padded], spare = new float[random.Next(1, 8) * padded];
            fixed (float* px = x, py = y, pt = tile, pn = inner, ps = spare)
            fixed (int* pi = index)
            {
                var input = new Rows(px, xRows, hidden);
                GatedExperts.Run(kernels, Activation.Silu, experts, input, pi, width, new Rows(py, rows, hidden));
                GatedExperts.Activate(kernels, Activation.Silu, experts, input, pi, width, new Rows(pn, rows, padded), new Rows(ps, spare.Length / padded, padded));
                for (var from = 0; from < hidden; from += GatedExperts.Grain)
                {
                    var columns = Math.Min(GatedExperts.Grain, hidden - from);
                    GatedExperts.Down(kernels, experts, width, new Rows(pn, rows, padded), from, new Rows(pt, rows, columns));
                    for (var i = 0; i < rows * columns; i++)
                        Assert.Equal(y[i / columns * hidden + from + i % columns], tile[i]);
                }
            }
        }
        finally
        {
            foreach (var pin in pins)
                pin.Free();
        }

        Assert.All(y[^16..], beside => Assert.Equal(Untouched, beside));
        for (int at = 0, row = 0; at < counts.Length; at++)
        {
            float[] gate = Plain(3 * at, width, hidden), up = Plain(3 * at + 1, width, hidden), down = Plain(3 * at + 2, hidden, width);
            for (var end = row + counts[at]; row < end; row++)
            {
                double[] middle = [.. Enumerable.Range(0, width).Select(c => Dot(gate, c) is var g ? g / (1 + Math.Exp(-g)) * Dot(up, c) : 0)];
                for (var c = 0; c < hidden; c++)
                    Assert.Equal(Enumerable.Range(0, width).Sum(p => middle[p] * down[c * width + p]), y[row * hidden + c], 1e-3);
                double Dot(float[] matrix, int c) => Enumerable.Range(0, hidden).Sum(p => (double)x[index[row] * hidden + p] * matrix[c * hidden + p]);
            }
        }

        byte[] Store(int outputs, int inputs, int number) => TileTests.Store(format, TileTests.Values(outputs * inputs, seed.Item + number), inputs);

        WeightRows Matrix(int number, int inputs) => WeightRows.Packed((byte*)pins[number].AddrOfPinnedObject(), format, inputs, null);

        float[] Plain(int number, int outputs, int inputs) =>
            format == WeightFormat.Float32 ? TileTests.Values(outputs * inputs, seed.Item + number) : TileTests.Widen(format, stored[number], outputs, inputs);
    }

    private static float[] Filled(int count)
    {
        var values = new float[count];
        Array.Fill(values, Untouched);
        return values;
    }
}
