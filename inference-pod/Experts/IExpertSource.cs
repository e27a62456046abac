using System.Buffers;
using Moebius.Inference.Checkpoints;

namespace Moebius.Inference.Experts;

/// <summary>The slow tier: fills an expert's buffer. Called from several threads at once.</summary>
internal interface IExpertSource : IDisposable
{
    /// <summary>Where experts come from and how they are read, in words for the log.</summary>
    string Description { get; }

    /// <summary>Reads an expert into a buffer of the layout's size.</summary>
    /// <returns>Bytes read.</returns>
    /// <exception cref="Crds.UserInputException">A weight is NaN or infinite.</exception>
    /// <exception cref="IOException">The file cannot be read, or is not what it was.</exception>
    long Read(ExpertKey key, Span<byte> buffer);
}

/// <summary>Experts straight from the checkpoint's tensors. The checkpoint stays the owner's.</summary>
internal sealed class CheckpointExperts(ExpertCatalog catalog, Checkpoint checkpoint) : IExpertSource
{
    /// <summary>Only parts that change type or order pass through scratch memory: at most one tensor of one expert.</summary>
    private readonly int _scratchBytes = (int)catalog.PerLayer.SelectMany(l => l).SelectMany(e => e)
        .Select(r => r.ScratchBytes).DefaultIfEmpty(0).Max();

    public string Description => $"safetensors, read with {checkpoint.Files[0].Access}"
        + (catalog.PerLayer.Any(l => l[0].Any(r => r is QuantizedRead)) ? " and dequantised" : "");

    public long Read(ExpertKey key, Span<byte> buffer)
    {
        var scratch = ArrayPool<byte>.Shared.Rent(_scratchBytes);
        try
        {
            long bytes = 0;
            foreach (var read in catalog.PerLayer[key.Layer][key.Expert])
            {
                read.Execute(buffer, scratch);
                bytes += read.Bytes;
            }
            return bytes;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(scratch);
        }
    }

    public void Dispose()
    {
    }
}
