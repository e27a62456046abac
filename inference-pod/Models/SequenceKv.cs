using Moebius.Inference.Kernels;

namespace Moebius.Inference.Models;

/// <summary>
/// Keys and values of one sequence in fp32, in blocks of a fixed number of tokens. A block holds, for each layer, the
/// key rows of its tokens and then their value rows, so a block leaves and enters as one copy, bit for bit.
/// </summary>
internal sealed unsafe class SequenceKv : ISequenceKv
{
    private readonly AttentionShape _shape;
    private readonly KvBlocks _memory;
    private readonly int _blockTokens;
    private readonly List<nint> _blocks = [];
    private nint[] _table = [];
    private readonly int _sharedUpTo;
    private readonly List<int>? _tokens;
    private bool _disposed;

    /// <param name="owner">The model.</param>
    /// <param name="shape">What a token stores in a layer.</param>
    /// <param name="memory">Of blocks of as many <see cref="Bytes"/>.</param>
    /// <param name="blockTokens">Tokens of a block.</param>
    /// <param name="sharedUpTo">
    /// Keys and values change once the sequence passes this length, if it is one that can be passed: tokens are remembered
    /// so that they can be computed again, and blocks of other sequences are refused beyond it.
    /// </param>
    public SequenceKv(object owner, AttentionShape shape, KvBlocks memory, int blockTokens, int sharedUpTo)
    {
        _sharedUpTo = sharedUpTo;
        _tokens = sharedUpTo < int.MaxValue ? [] : null;
        Owner = owner;
        _shape = shape;
        _memory = memory;
        _blockTokens = blockTokens;
    }

    ~SequenceKv() => Free();

    /// <summary>The model that made it; another model's sequence has another layout.</summary>
    public object Owner { get; }

    public int BlockBytes => _memory.Bytes;

    public int Length { get; private set; }

    public int SharedLength { get; private set; }

    /// <summary>The length that the last rows were rotated for.</summary>
    public int RotatedFor { get; set; }

    /// <summary>The last step of its model that it is in.</summary>
    public long Step { get; set; }

    public static long Bytes(AttentionShape shape, int layers, int blockTokens) =>
        (long)layers * blockTokens * ((long)shape.KeyRow + shape.ValueRow) * sizeof(float);

    public void ExportBlock(int block, Span<byte> destination)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (block < 0 || (block + 1L) * _blockTokens > Length)
            throw new ArgumentOutOfRangeException(nameof(block), block, $"the sequence has {Length / _blockTokens} full blocks");
        CheckSize(destination.Length, nameof(destination));
        new ReadOnlySpan<byte>((void*)_blocks[block], BlockBytes).CopyTo(destination);
    }

    public void ImportBlock(ReadOnlySpan<byte> source, ReadOnlySpan<int> tokens)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (Length % _blockTokens != 0)
            throw new InvalidOperationException($"a block can be imported only at a multiple of {_blockTokens} tokens; the sequence has {Length}");
        CheckSize(source.Length, nameof(source));
        if (tokens.Length != _blockTokens)
            throw new ArgumentException($"{tokens.Length} tokens given; a block has {_blockTokens}", nameof(tokens));
        if (Length + _blockTokens > _sharedUpTo)
            throw new NotSupportedException($"this model's keys and values depend on the length of their sequence beyond {_sharedUpTo} tokens; blocks of another sequence would change the result");
        Reserve(_blockTokens);
        source.CopyTo(new Span<byte>((void*)_blocks[Length / _blockTokens], BlockBytes));
        RotatedFor = Length + _blockTokens;
        Commit(tokens);
    }

    public void Truncate(int length)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (length < 0 || length > Length)
            throw new ArgumentOutOfRangeException(nameof(length), length, $"the sequence has {Length} tokens");
        Length = length;
        SharedLength = Math.Min(SharedLength, length);
        _tokens?.RemoveRange(length, _tokens.Count - length);
        var keep = (length + _blockTokens - 1) / _blockTokens;
        for (var i = _blocks.Count - 1; i >= keep; i--)
        {
            _memory.Return(_blocks[i]);
            _blocks.RemoveAt(i);
        }
        _table = [.. _blocks];
    }

    /// <summary>Makes room for tokens after <see cref="Length"/>.</summary>
    public void Reserve(int tokens)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        var needed = (Length + tokens + _blockTokens - 1) / _blockTokens;
        if (_blocks.Count == needed)
            return;
        while (_blocks.Count < needed)
            _blocks.Add(_memory.Take());
        _table = [.. _blocks];
    }

    /// <summary>Counts tokens whose keys and values all layers have written.</summary>
    public void Commit(ReadOnlySpan<int> tokens)
    {
        if (SharedLength == Length && RotatedFor <= _sharedUpTo)
            SharedLength = Math.Min(Length + tokens.Length, _sharedUpTo);
        Length += tokens.Length;
        _tokens?.AddRange(tokens);
    }

    /// <summary>All stored tokens followed by new ones.</summary>
    public int[] TokensWith(ReadOnlySpan<int> tokens) => [.. _tokens ?? throw new InvalidOperationException("tokens are not remembered"), .. tokens];

    /// <summary>Where a layer's keys and values are; valid until blocks are added or removed.</summary>
    public KvRows Rows(int layer)
    {
        var keys = (nint)layer * _blockTokens * (_shape.KeyRow + _shape.ValueRow) * sizeof(float);
        return new KvRows(_table, _blockTokens, keys, keys + (nint)_blockTokens * _shape.KeyRow * sizeof(float));
    }

    /// <summary>Stores one token's rows at a position from <see cref="Length"/> on.</summary>
    /// <param name="rows">Where.</param>
    /// <param name="position">Position of the token.</param>
    /// <param name="key">Its keys.</param>
    /// <param name="value">Its values; unused when the keys hold them.</param>
    public void Write(KvRows rows, int position, float* key, float* value)
    {
        nint block = rows.Blocks[position / _blockTokens], at = position % _blockTokens;
        new ReadOnlySpan<float>(key, _shape.KeyRow).CopyTo(new Span<float>((float*)(block + rows.Keys) + at * _shape.KeyRow, _shape.KeyRow));
        new ReadOnlySpan<float>(value, _shape.ValueRow).CopyTo(new Span<float>((float*)(block + rows.Values) + at * _shape.ValueRow, _shape.ValueRow));
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void CheckSize(int bytes, string argument)
    {
        if (bytes != BlockBytes)
            throw new ArgumentException($"{bytes} bytes given; a block has {BlockBytes}", argument);
    }

    private void Free()
    {
        if (_disposed)
            return;
        _disposed = true;
        foreach (var block in _blocks)
            _memory.Return(block);
        _blocks.Clear();
        _table = [];
    }
}
