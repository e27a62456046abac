using System.Runtime.Intrinsics;

namespace Moebius.Inference.Kernels;

/// <summary>Rotates pairs of a part of each head in place.</summary>
internal static unsafe class Rotary
{
    /// <param name="x">One row of heads.</param>
    /// <param name="heads">Heads in the row.</param>
    /// <param name="headDim">Elements of a head.</param>
    /// <param name="start">First rotated element of a head.</param>
    /// <param name="cos">One value per pair.</param>
    /// <param name="sin">One value per pair.</param>
    /// <param name="pairs">Rotated pairs of a head.</param>
    /// <param name="interleaved">Pairs are neighbours (2i, 2i+1); otherwise halves (i, i+pairs).</param>
    public static void Rotate(float* x, int heads, int headDim, int start, float* cos, float* sin, int pairs, bool interleaved)
    {
        int step = interleaved ? 2 : 1, other = interleaved ? 1 : pairs;
        for (var h = 0; h < heads; h++)
        {
            var head = x + (nint)h * headDim + start;
            var i = 0;
            for (; !interleaved && i + 16 <= pairs; i += 16)
            {
                var c = Vector512.Load(cos + i);
                var s = Vector512.Load(sin + i);
                var a = Vector512.Load(head + i);
                var b = Vector512.Load(head + pairs + i);
                (a * c - b * s).Store(head + i);
                (b * c + a * s).Store(head + pairs + i);
            }
            for (; i < pairs; i++)
            {
                float a = head[i * step], b = head[i * step + other];
                head[i * step] = a * cos[i] - b * sin[i];
                head[i * step + other] = b * cos[i] + a * sin[i];
            }
        }
    }
}
