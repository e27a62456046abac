using System.Runtime.InteropServices;
using Moebius.Inference.Checkpoints;

namespace Moebius.Inference.Experts;

/// <summary>One contiguous read from a checkpoint, and where its elements go in the expert's buffer.</summary>
/// <param name="File">The shard.</param>
/// <param name="Entry">The tensor.</param>
/// <param name="Start">First element.</param>
/// <param name="Count">Elements.</param>
/// <param name="Copies">Parts of what was read; together they cover the part of the buffer that they fill.</param>
internal sealed record ExpertRead(SafetensorsFile File, TensorEntry Entry, long Start, long Count, IReadOnlyList<ExpertCopy> Copies)
{
    public long Bytes => Count * Entry.Type.Bytes();

    /// <summary>Reads into an expert's buffer. <paramref name="scratch"/> holds at least <see cref="Bytes"/>.</summary>
    /// <exception cref="Crds.UserInputException">A weight is NaN or infinite.</exception>
    public void Execute(Span<byte> buffer, Span<byte> scratch)
    {
        long offset = Start * Entry.Type.Bytes();
        if (Copies is [{ IsPlain: true } only] && only.Type == Entry.Type)
        {
            Read(offset, buffer.Slice((int)only.Destination, (int)Bytes));
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
internal sealed record ExpertCopy(long Destination, TensorType Type, int Rows, int Columns, long Offset, long RowStride, long ColumnStride)
{
    public static ExpertCopy Plain(long destination, TensorType type, int rows, int columns) =>
        new(destination, type, rows, columns, 0, columns, 1);

    public bool IsPlain => Offset == 0 && ColumnStride == 1 && RowStride == Columns;

    public void Execute(ReadOnlySpan<byte> raw, TensorType source, Span<byte> buffer)
    {
        int bytes = Rows * Columns * Type.Bytes();
        var destination = buffer.Slice((int)Destination, bytes);
        if (Type == TensorType.BF16)
            Spread(MemoryMarshal.Cast<byte, ushort>(raw), MemoryMarshal.Cast<byte, ushort>(destination));
        else if (source == TensorType.F32)
            Spread(MemoryMarshal.Cast<byte, float>(raw), MemoryMarshal.Cast<byte, float>(destination));
        else
            Widen(MemoryMarshal.Cast<byte, ushort>(raw), source, MemoryMarshal.Cast<byte, float>(destination));
    }

    private void Spread<T>(ReadOnlySpan<T> from, Span<T> to)
    {
        for (int r = 0; r < Rows; r++)
        {
            for (int c = 0; c < Columns; c++)
                to[r * Columns + c] = from[(int)(Offset + r * RowStride + c * ColumnStride)];
        }
    }

    private void Widen(ReadOnlySpan<ushort> from, TensorType source, Span<float> to)
    {
        for (int r = 0; r < Rows; r++)
        {
            for (int c = 0; c < Columns; c++)
                to[r * Columns + c] = HalfTypes.ToSingle(from[(int)(Offset + r * RowStride + c * ColumnStride)], source);
        }
    }
}
