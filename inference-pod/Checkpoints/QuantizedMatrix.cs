namespace Moebius.Inference.Checkpoints;

/// <summary>A matrix that is stored in fewer than 16 bits a value and becomes bf16, row by row, as it is read.</summary>
internal abstract class QuantizedMatrix
{
    /// <summary>The file that holds the values.</summary>
    public abstract string Path { get; }

    /// <summary>The tensor that holds them.</summary>
    public abstract string Name { get; }

    public required int Rows { get; init; }

    public required int Columns { get; init; }

    /// <summary>Bytes that are read: values and scales.</summary>
    public abstract long Bytes { get; }

    /// <summary>Bytes of memory that <see cref="Read"/> needs.</summary>
    public abstract long ScratchBytes { get; }

    /// <summary>Reads values and scales.</summary>
    /// <param name="scratch">At least <see cref="ScratchBytes"/>.</param>
    /// <exception cref="Crds.UserInputException">A scale is not a finite number.</exception>
    public abstract void Read(Span<byte> scratch);

    /// <summary>Writes a row in bf16.</summary>
    /// <param name="scratch">What <see cref="Read"/> has filled.</param>
    /// <param name="row">From 0.</param>
    /// <param name="to">As long as a row.</param>
    public abstract void Row(ReadOnlySpan<byte> scratch, int row, Span<ushort> to);
}
