namespace Moebius.Inference.Kernels;

/// <summary>The three matrices of a gated feed-forward and the rows that pass through them.</summary>
/// <param name="Gate">[width, hidden].</param>
/// <param name="Up">[width, hidden].</param>
/// <param name="Down">[hidden, width].</param>
/// <param name="First">First of its rows.</param>
/// <param name="Count">Number of rows.</param>
internal readonly record struct GatedWeights(WeightRows Gate, WeightRows Up, WeightRows Down, int First, int Count);

/// <summary>down(act(gate(x)) * up(x)) for several experts at once, or for one dense block.</summary>
internal static unsafe class GatedExperts
{
    /// <summary>Columns of an intermediate result that a thread computes at a time, at least.</summary>
    private const int Grain = 32;

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
        for (int first = 0; first < experts.Length;)
        {
            int count = 1, rows = experts.Span[first].Count;
            while (first + count < experts.Length && rows + experts.Span[first + count].Count <= RowsAtOnce)
                rows += experts.Span[first + count++].Count;
            RunWave(kernels, activation, experts.Slice(first, count), rows, x, index, width, y);
            kernels.Scratch.Release(mark);
            first += count;
        }
    }

    private static void RunWave(TensorKernels kernels, Activation activation, ReadOnlyMemory<GatedWeights> experts, int rows, Rows x, int* index, int width, Rows y)
    {
        int hidden = x.Width;
        // Rows are padded to whole vectors, for the activation.
        var inner = kernels.Take(rows, (width + 15) / 16 * 16);
        // An expert's rows of y are its own and written last: until then they have room for its other intermediate results.
        bool inPlace = inner.Width <= hidden;
        var up = inPlace ? y : kernels.Take(rows, inner.Width);
        var begins = new int[experts.Length];
        for (int i = 1; i < begins.Length; i++)
            begins[i] = begins[i - 1] + experts.Span[i - 1].Count;
        ForParts(kernels.Workers, experts.Length, width, 2L * rows * hidden * width, (at, from, to) =>
        {
            var expert = experts.Span[at];
            float* g = inner[begins[at]], u = up[inPlace ? expert.First : begins[at]];
            float* input = index != null ? x.Data : x[expert.First];
            int* own = index != null ? index + expert.First : null;
            MatrixProduct.Run(input, hidden, expert.Gate, g, inner.Width, expert.Count, from, to, hidden, own);
            MatrixProduct.Run(input, hidden, expert.Up, u, up.Width, expert.Count, from, to, hidden, own);
            for (int row = 0; row < expert.Count; row++)
                Activations.Gate(activation, g + (nint)row * inner.Width + from, u + (nint)row * up.Width + from, to - from);
        });
        ForParts(kernels.Workers, experts.Length, hidden, (long)rows * hidden * width, (at, from, to) =>
        {
            var expert = experts.Span[at];
            MatrixProduct.Run(inner[begins[at]], inner.Width, expert.Down, y[expert.First], hidden, expert.Count, from, to, width);
        });
    }

    /// <summary>
    /// Cuts the columns of each expert into parts, just enough of them that no thread waits long for another: a part
    /// is a stretch of memory that one thread reads from beginning to end.
    /// </summary>
    private static void ForParts(Workers workers, int experts, int columns, long work, Action<int, int, int> body)
    {
        int parts = workers.Pays(work) ? Math.Max(1, (workers.Threads * 8 + experts - 1) / experts) : 1;
        int step = ((columns + parts - 1) / parts + Grain - 1) / Grain * Grain;
        int each = (columns + step - 1) / step;
        workers.Run(experts * each, work, task =>
        {
            int from = task % each * step;
            body(task / each, from, Math.Min(columns, from + step));
        });
    }
}
