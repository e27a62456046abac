using Moebius.Inference.Kernels;

namespace Moebius.Inference.Models;

/// <summary>One chunk of a step: rows [Offset, Offset + Count) of the step's tensors belong to it.</summary>
/// <param name="Kv">Its sequence; new tokens begin at its length.</param>
/// <param name="Offset">First row.</param>
/// <param name="Count">Rows.</param>
/// <param name="Tokens">Their token ids.</param>
/// <param name="New">The last rows that the caller gave; rows before them are computed again.</param>
/// <param name="Cos">Rotary cosines [Count, pairs].</param>
/// <param name="Sin">Rotary sines [Count, pairs].</param>
/// <param name="Whole">The length that its rows are rotated for; those beyond it each for its own.</param>
internal sealed record StepChunk(SequenceKv Kv, int Offset, int Count, ReadOnlyMemory<int> Tokens, int New, float[] Cos, float[] Sin, int Whole)
{
    /// <summary>Splits the rows of all chunks over the threads at once: sixteen chunks that decode are not sixteen pieces of work.</summary>
    /// <param name="kernels">Threads.</param>
    /// <param name="chunks">All chunks of a step.</param>
    /// <param name="width">Elements of each row that are touched.</param>
    /// <param name="body">A chunk and the rows [from, to) of it.</param>
    public static void ForRows(TensorKernels kernels, IReadOnlyList<StepChunk> chunks, long width, Action<StepChunk, int, int> body)
    {
        var last = chunks[^1];
        kernels.ForRows(last.Offset + last.Count, width, (from, to) =>
        {
            for (var i = 0; i < chunks.Count; i++)
            {
                var chunk = chunks[i];
                int begin = Math.Max(from - chunk.Offset, 0), end = Math.Min(to - chunk.Offset, chunk.Count);
                if (begin < end)
                    body(chunk, begin, end);
            }
        });
    }
}
