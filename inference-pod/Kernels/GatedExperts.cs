namespace Moebius.Inference.Kernels;

/// <summary>The three matrices of a gated feed-forward. One object for all steps: what is written anew in each must first be taken out of other threads' caches.</summary>
/// <param name="Gate">[width, hidden].</param>
/// <param name="Up">[width, hidden].</param>
/// <param name="Down">[hidden, width].</param>
internal sealed record GatedMatrices(WeightRows Gate, WeightRows Up, WeightRows Down);

/// <summary>A gated feed-forward and the rows that pass through it.</summary>
/// <param name="Matrices">Its weights.</param>
/// <param name="First">First of its rows.</param>
/// <param name="Count">Number of rows.</param>
internal readonly record struct GatedWeights(GatedMatrices Matrices, int First, int Count);

/// <summary>down(act(gate(x)) * up(x)) for several experts at once, or for one dense block.</summary>
internal static unsafe class GatedExperts
{
    /// <summary>Columns of an intermediate result that a thread computes at a time, at least.</summary>
    public const int Grain = 32;

    /// <summary>Rows whose intermediate results are held at once, unless one expert has more: many keep no thread busier.</summary>
    private const int RowsAtOnce = 1024;

    /// <param name="kernels">Threads and memory.</param>
    /// <param name="activation">Of the gate.</param>
    /// <param name="experts">Their rows of <paramref name="y"/> do not overlap.</param>
    /// <param name="x">Inputs [any, hidden].</param>
    /// <param name="index">For each row of <paramref name="y"/>, its row of x; null where they are the same.</param>
    /// <param name="width">Rows of gate and up.</param>
    /// <param name="y">Results [all rows, hidden]; no part of <paramref name="x"/>.</param>
    public static void Run(TensorKernels kernels, Activation activation, ReadOnlyMemory<GatedWeights> experts, Rows x, int* index, int width, Rows y)
    {
        var mark = kernels.Scratch.Mark();
        for (var first = 0; first < experts.Length;)
        {
            int count = 1, rows = experts.Span[first].Count;
            while (first + count < experts.Length && rows + experts.Span[first + count].Count <= RowsAtOnce)
                rows += experts.Span[first + count++].Count;
            RunWave(kernels, activation, experts.Slice(first, count), rows, x, index, width, y);
            kernels.Scratch.Release(mark);
            first += count;
        }
    }

    /// <summary>The first half of <see cref="Run"/>: act(gate(x)) * up(x).</summary>
    /// <param name="kernels">Threads.</param>
    /// <param name="activation">Of the gate.</param>
    /// <param name="experts">Their rows of <paramref name="inner"/> do not overlap.</param>
    /// <param name="x">Inputs [any, hidden].</param>
    /// <param name="index">For each row of <paramref name="inner"/>, its row of x.</param>
    /// <param name="width">Rows of gate and up.</param>
    /// <param name="inner">Results [all rows, <see cref="Padded"/> width]; rows of experts that are not given stay as they are.</param>
    /// <param name="spare">Overwritten; has room for a row of <paramref name="inner"/> at least.</param>
    public static void Activate(TensorKernels kernels, Activation activation, ReadOnlyMemory<GatedWeights> experts, Rows x, int* index, int width, Rows inner, Rows spare)
    {
        int most = (int)Math.Min(RowsAtOnce, (long)spare.Count * spare.Width / inner.Width), rows = 0;
        var wave = new List<GatedWeights>(experts.Length);
        foreach (var expert in experts.Span)
        {
            for (var done = 0; done < expert.Count;)
            {
                var count = Math.Min(expert.Count - done, most - rows);
                wave.Add(expert with { First = expert.First + done, Count = count });
                rows += count;
                done += count;
                if (rows == most)
                    RunPending();
            }
        }
        RunPending();

        void RunPending()
        {
            if (rows > 0)
            {
                GatedWeights[] part = [.. wave];
                Activate(kernels, activation, part, rows, x, index, width, new Places(inner, null), new Places(new Rows(spare.Data, rows, inner.Width), Begins(part)));
            }
            wave.Clear();
            rows = 0;
        }
    }

    /// <summary>The second half: as many columns of down(inner) as <paramref name="y"/> has.</summary>
    /// <param name="kernels">Threads.</param>
    /// <param name="experts">All experts of the step.</param>
    /// <param name="width">Columns of down.</param>
    /// <param name="inner">What <see cref="Activate(TensorKernels, Activation, ReadOnlyMemory{GatedWeights}, Rows, int*, int, Rows, Rows)"/> left.</param>
    /// <param name="first">The first column, a multiple of <see cref="Grain"/>.</param>
    /// <param name="y">Results [all rows, number of columns].</param>
    public static void Down(TensorKernels kernels, GatedWeights[] experts, int width, Rows inner, int first, Rows y) =>
        Down(kernels, experts, y.Count, width, new Places(inner, null), first, y);

    /// <summary>Elements from one row of act(gate(x)) * up(x) to the next: rows are padded to whole vectors, for the activation.</summary>
    public static int Padded(int width) => (width + 15) / 16 * 16;

    private static void RunWave(TensorKernels kernels, Activation activation, ReadOnlyMemory<GatedWeights> experts, int rows, Rows x, int* index, int width, Rows y)
    {
        var begins = Begins(experts.Span);
        var inner = new Places(kernels.Take(rows, Padded(width)), begins);
        // An expert's rows of y are its own and written last: until then they have room for its other intermediate results.
        var up = inner.Rows.Width <= x.Width ? new Places(y, null) : new Places(kernels.Take(rows, inner.Rows.Width), begins);
        Activate(kernels, activation, experts, rows, x, index, width, inner, up);
        Down(kernels, experts, rows, width, inner, 0, y);
    }

    private static int[] Begins(ReadOnlySpan<GatedWeights> experts)
    {
        var begins = new int[experts.Length];
        for (var i = 1; i < begins.Length; i++)
            begins[i] = begins[i - 1] + experts[i - 1].Count;
        return begins;
    }

    /// <summary>act(gate(x)) * up(x) into <paramref name="inner"/>; <paramref name="up"/> is overwritten.</summary>
    private static void Activate(TensorKernels kernels, Activation activation, ReadOnlyMemory<GatedWeights> experts, int rows, Rows x, int* index, int width, Places inner, Places up)
    {
        int hidden = x.Width, gStride = inner.Rows.Width, uStride = up.Rows.Width;
        ForParts(kernels.Workers, experts.Length, width, 2L * rows * hidden * width, (at, from, to) =>
        {
            var expert = experts.Span[at];
            float* g = inner.Of(at, expert), u = up.Of(at, expert);
            var input = index != null ? x.Data : x[expert.First];
            var own = index != null ? index + expert.First : null;
            MatrixProduct.Run(input, hidden, expert.Matrices.Gate, g, gStride, expert.Count, from, to, hidden, own);
            MatrixProduct.Run(input, hidden, expert.Matrices.Up, u, uStride, expert.Count, from, to, hidden, own);
            for (var row = 0; row < expert.Count; row++)
                Activations.Gate(activation, g + (nint)row * gStride + from, u + (nint)row * uStride + from, to - from);
        });
    }

    /// <summary>As many columns of down(inner) as <paramref name="y"/> has, the first of them <paramref name="first"/>.</summary>
    private static void Down(TensorKernels kernels, ReadOnlyMemory<GatedWeights> experts, int rows, int width, Places inner, int first, Rows y)
    {
        int columns = y.Width, stride = inner.Rows.Width;
        ForParts(kernels.Workers, experts.Length, columns, (long)rows * columns * width, (at, from, to) =>
        {
            var expert = experts.Span[at];
            MatrixProduct.Run(inner.Of(at, expert), stride, expert.Matrices.Down, y[expert.First] - first, columns, expert.Count, first + from, first + to, width);
        });
    }

    /// <summary>
    /// Cuts the columns of each expert into parts, just enough of them that no thread waits long for another: a part
    /// is a stretch of memory that one thread reads from beginning to end.
    /// </summary>
    private static void ForParts(Workers workers, int experts, int columns, long work, Action<int, int, int> body)
    {
        var parts = workers.Pays(work) ? Math.Max(1, (workers.Threads * 8 + experts - 1) / experts) : 1;
        var step = ((columns + parts - 1) / parts + Grain - 1) / Grain * Grain;
        var each = (columns + step - 1) / step;
        workers.Run(experts * each, work, task =>
        {
            var from = task % each * step;
            body(task / each, from, Math.Min(columns, from + step));
        });
    }

    /// <summary>Where each expert's rows lie.</summary>
    /// <param name="Rows">All of them.</param>
    /// <param name="Begins">First row of each expert of a wave; null: where its rows are in the step.</param>
    private readonly record struct Places(Rows Rows, int[]? Begins)
    {
        public float* Of(int at, in GatedWeights expert) => Rows[Begins is null ? expert.First : Begins[at]];
    }
}
