using System.Diagnostics;
using Moebius.Inference.Storage;

namespace Moebius.Bench.Inference;

/// <summary>What the device gives: random direct reads of a size, some at a time.</summary>
internal static class DiskBandwidth
{
    /// <param name="path">The file; much larger than what is read at once.</param>
    /// <param name="readBytes">Bytes of a read, a multiple of 4096.</param>
    /// <param name="atOnce">Reads at a time.</param>
    /// <param name="seconds">How long to measure.</param>
    /// <returns>Bytes a second.</returns>
    public static unsafe double Measure(string path, long readBytes, int atOnce, double seconds)
    {
        using var file = StoredFile.Open(path);
        if (file.Access != "direct I/O")
            throw new InvalidOperationException($"{path} is read with {file.Access}: the device cannot be measured");
        long places = file.Length / readBytes, total = 0;
        var begun = Stopwatch.GetTimestamp();
        var threads = Enumerable.Range(0, atOnce).Select(number => new Thread(() =>
        {
            var random = new Random(number);
            var buffer = (byte*)System.Runtime.InteropServices.NativeMemory.AlignedAlloc((nuint)readBytes, DirectFile.Alignment);
            while (Stopwatch.GetElapsedTime(begun).TotalSeconds < seconds)
            {
                file.Read(random.NextInt64(places) * readBytes, new Span<byte>(buffer, (int)readBytes), "block");
                Interlocked.Add(ref total, readBytes);
            }
            System.Runtime.InteropServices.NativeMemory.AlignedFree(buffer);
        })).ToArray();
        foreach (var thread in threads)
            thread.Start();
        foreach (var thread in threads)
            thread.Join();
        return total / Stopwatch.GetElapsedTime(begun).TotalSeconds;
    }
}
