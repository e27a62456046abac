using Moebius.Crds;

namespace Moebius.Inference.Checkpoints;

/// <summary>
/// One of a stack of matrices in MXFP4: <c>NAME_blocks</c> U8 [matrices, rows, columns / 32, 16] and <c>NAME_scales</c> U8
/// [matrices, rows, columns / 32].
/// </summary>
internal sealed class Mxfp4Matrix : QuantizedMatrix
{
    public const string Blocks = "_blocks";
    public const string Scales = "_scales";

    private readonly SafetensorsFile _file, _scalesFile;
    private readonly TensorEntry _entry, _scales;
    private readonly int _index;

    private Mxfp4Matrix((SafetensorsFile File, TensorEntry Entry) blocks, (SafetensorsFile File, TensorEntry Entry) scales, int index)
    {
        (_file, _entry) = blocks;
        (_scalesFile, _scales) = scales;
        _index = index;
    }

    public override string Path => _file.Path;

    public override string Name => _entry.Name;

    public override long Bytes => BlockBytes + ScaleBytes;

    public override long ScratchBytes => Bytes;

    private int ScaleBytes => Rows * (Columns / Mxfp4.Block);

    private int BlockBytes => ScaleBytes * Mxfp4.BlockBytes;

    /// <summary>A matrix of a stack.</summary>
    /// <exception cref="UserInputException">The checkpoint has no such tensors, or they are not right.</exception>
    public static Mxfp4Matrix Find(Checkpoint checkpoint, string name, int matrices, int index, int rows, int columns)
    {
        if (columns % Mxfp4.Block != 0)
            throw new UserInputException($"{checkpoint.Directory}: tensor \"{name}{Blocks}\" has rows of {columns} values; mxfp4 has blocks of {Mxfp4.Block}, so that hidden_size and intermediate_size must be multiples of it");
        if (checkpoint.Contains(name))
            throw new UserInputException($"{checkpoint.Find(name).File.Path}: tensor \"{name}\" is there beside \"{name}{Blocks}\"; there must be one of them, the latter where quantization_config says mxfp4");
        var blocks = columns / Mxfp4.Block;
        return new Mxfp4Matrix(
            checkpoint.FindBytes(name + Blocks, matrices, rows, blocks, Mxfp4.BlockBytes),
            checkpoint.FindBytes(name + Scales, matrices, rows, blocks),
            index)
        { Rows = rows, Columns = columns };
    }

    public override void Read(Span<byte> scratch)
    {
        _file.Read(_entry, (long)BlockBytes * _index, scratch[..BlockBytes]);
        var scales = scratch.Slice(BlockBytes, ScaleBytes);
        _scalesFile.Read(_scales, (long)ScaleBytes * _index, scales);
        if (scales.Contains(Mxfp4.NaNScale))
            throw new UserInputException($"{_scalesFile.Path}: tensor \"{_scales.Name}\": {scales.Count(Mxfp4.NaNScale)} of {ScaleBytes} scales are 255, which is NaN in e8m0; they must be from 0 to 254");
    }

    public override void Row(ReadOnlySpan<byte> scratch, int row, Span<ushort> to)
    {
        var blocks = Columns / Mxfp4.Block;
        Mxfp4.ToBFloat16(
            scratch.Slice(row * blocks * Mxfp4.BlockBytes, blocks * Mxfp4.BlockBytes),
            scratch.Slice(BlockBytes + (row * blocks), blocks),
            to);
    }
}
