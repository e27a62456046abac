namespace Moebius.Inference.Constraints;

/// <summary>A part of a grammar over bytes. Two nodes are the same only if they are the same object.</summary>
internal abstract class GrammarNode;

/// <summary>One byte out of a set.</summary>
internal sealed class ByteSetNode : GrammarNode
{
    private readonly UInt128 _low, _high;

    /// <param name="ranges">First and last byte of each range, both inside it.</param>
    public ByteSetNode(params ReadOnlySpan<(int First, int Last)> ranges)
    {
        foreach (var (first, last) in ranges)
        {
            for (var value = first; value <= last; value++)
            {
                if (value < 128)
                    _low |= UInt128.One << value;
                else
                    _high |= UInt128.One << (value - 128);
            }
        }
    }

    /// <summary>One bit for each byte: those below 128, and the others.</summary>
    public (UInt128, UInt128) Bytes => (_low, _high);

    /// <summary>The set holds the byte.</summary>
    public bool Holds(byte value) => ((value < 128 ? _low >> value : _high >> (value - 128)) & UInt128.One) != UInt128.Zero;

    /// <summary>The bytes of an ASCII text, as a set.</summary>
    public static ByteSetNode Of(string characters) => new([.. characters.Select(character => ((int)character, (int)character))]);
}

/// <summary>Exactly these bytes, at least one.</summary>
internal sealed class LiteralNode(byte[] bytes) : GrammarNode
{
    public byte[] Bytes => bytes;
}

/// <summary>One part after the other; without parts, the empty text.</summary>
internal sealed class SequenceNode(params IReadOnlyList<GrammarNode> parts) : GrammarNode
{
    public IReadOnlyList<GrammarNode> Parts => parts;
}

/// <summary>One of the alternatives; there is at least one.</summary>
internal sealed class ChoiceNode(params IReadOnlyList<GrammarNode> alternatives) : GrammarNode
{
    public IReadOnlyList<GrammarNode> Alternatives => alternatives;
}

/// <summary>A part some number of times.</summary>
/// <param name="child">The part.</param>
/// <param name="least">At least so often.</param>
/// <param name="most">At most so often; null: any number.</param>
internal sealed class RepeatNode(GrammarNode child, int least, int? most) : GrammarNode
{
    public GrammarNode Child => child;

    public int Least => least;

    public int? Most => most;
}

/// <summary>A name for a part, so that a part can hold itself. No rule may reach itself without a byte in between.</summary>
internal sealed class RuleNode : GrammarNode
{
    /// <summary>What it stands for; set once, before use.</summary>
    public GrammarNode? Target { get; set; }
}
