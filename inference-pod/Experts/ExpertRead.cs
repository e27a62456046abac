using System.Runtime.InteropServices;
using Moebius.Inference.Checkpoints;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Experts;

/// <summary>A part of an expert: what is read from a checkpoint, and where it goes in the expert's buffer.</summary>
internal abstract record ExpertRead
{
    /// <summary>Bytes that are read.</summary>
    public abstract long Bytes { get; }

    /// <summary>Bytes of memory that reading needs beside the buffer.</summary>
    public abstract long ScratchBytes { get; }

    /// <summary>Reads into an expert's buffer. <paramref name="scratch"/> holds at least <see cref="ScratchBytes"/>.</summary>
    /// <exception cref="Crds.UserInputException">A weight is NaN or infinite.</exception>
    public abstract void Execute(Span<byte> buffer, Span<byte> scratch);
}

/// <summary>One contiguous read of a floating type.</summary>
/// <param name="File">The shard.</param>
/// <param name="Entry">The tensor.</param>
/// <param name="Start">First element.</param>
/// <param name="Count">Elements.</param>
/// <param name="Copies">Parts of what was read; together they cover the part of the buffer that they fill.</param>
internal sealed record TensorRead(SafetensorsFile File, TensorEntry Entry, long Start, long Count, IReadOnlyList<ExpertCopy> Copies) : ExpertRead
{
    public override long Bytes => Count * Entry.Type.Bytes();

    public override long ScratchBytes => IsDirect ? 0 : Bytes;

    /// <summary>The file's bytes are the buffer's: nothing changes type, order or precision.</summary>
    private bool IsDirect => Copies is [{ IsPlain: true } only]
        && (only.Format, Entry.Type) is (WeightFormat.Float32, TensorType.F32) or (WeightFormat.BFloat16, TensorType.BF16);

    public override void Execute(Span<byte> buffer, Span<byte> scratch)
    {
        var offset = Start * Entry.Type.Bytes();
        if (IsDirect)
        {
            Read(offset, buffer.Slice((int)Copies[0].Destination, (int)Bytes));
            return;
        }
        var raw = scratch[..(int)Bytes];
        Read(offset, raw);
        foreach (var copy in Copies)
            copy.Execute(raw, Entry.Type, buffer);
    }

    private void Read(long offset, Span<byte> raw)
    {
        File.Read(Entry, offset, raw);
        FiniteWeights.Check(File.Path, Entry.Name, FiniteWeights.CountOthers(raw, Entry.Type), Count);
    }
}

/// <summary>
/// Element (r, c) of the destination matrix is source element Offset + r * RowStride + c * ColumnStride: enough for
/// slices, transposed matrices and interleaved rows.
/// </summary>
internal sealed record ExpertCopy(long Destination, WeightFormat Format, int Rows, int Columns, long Offset, long RowStride, long ColumnStride)
{
    public static ExpertCopy Plain(long destination, WeightFormat format, int rows, int columns) =>
        new(destination, format, rows, columns, 0, columns, 1);

    public bool IsPlain => Offset == 0 && ColumnStride == 1 && RowStride == Columns;

    public void Execute(ReadOnlySpan<byte> raw, TensorType source, Span<byte> buffer)
    {
        var destination = buffer.Slice((int)Destination, checked((int)(Rows * Format.RowBytes(Columns))));
        if (Format == WeightFormat.BFloat16)
        {
            var to = MemoryMarshal.Cast<byte, ushort>(destination);
            for (var r = 0; r < Rows; r++)
                Row(MemoryMarshal.Cast<byte, ushort>(raw), r, to.Slice(r * Columns, Columns));
            return;
        }
        var row = new float[Columns];
        var bytes = (int)Format.RowBytes(Columns);
        for (var r = 0; r < Rows; r++)
        {
            if (source == TensorType.F32)
                Row(MemoryMarshal.Cast<byte, float>(raw), r, row);
            else
                Widen(MemoryMarshal.Cast<byte, ushort>(raw), source, r, row);
            if (Format == WeightFormat.Float32)
                MemoryMarshal.AsBytes<float>(row).CopyTo(destination.Slice(r * bytes, bytes));
            else
                Quantizer.Row(Format, row, destination.Slice(r * bytes, bytes));
        }
    }

    private void Row<T>(ReadOnlySpan<T> from, int row, Span<T> to)
    {
        for (var c = 0; c < to.Length; c++)
            to[c] = from[(int)(Offset + row * RowStride + c * ColumnStride)];
    }

    private void Widen(ReadOnlySpan<ushort> from, TensorType source, int row, Span<float> to)
    {
        for (var c = 0; c < to.Length; c++)
            to[c] = HalfTypes.ToSingle(from[(int)(Offset + row * RowStride + c * ColumnStride)], source);
    }
}
