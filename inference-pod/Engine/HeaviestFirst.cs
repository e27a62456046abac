using System.Buffers;
using System.Runtime.InteropServices;

namespace Moebius.Inference.Engine;

/// <summary>
/// Finds where in the order of their logits the mass of tokens exceeds a target, without putting them in order: of bounds
/// between two weights the masses above are added in one pass, and the search goes on between the two around the
/// target. What is left in the end, a few tokens, is ranked.
/// </summary>
internal readonly ref struct HeaviestFirst
{
    /// <summary>So many are ranked.</summary>
    private const int Few = 8;

    /// <summary>
    /// Around bounds: weights of different logits may be in the wrong order by their last bits, and only the order of logits counts.
    /// </summary>
    private const float Margin = 1e-6f;

    /// <summary>Weights are at most 1.</summary>
    private const float AboveAll = 1.5f;

    private readonly ReadOnlySpan<float> _logits, _weights, _heavy;
    private readonly ReadOnlySpan<int> _tokens;
    private readonly Span<float> _between, _masses;
    private readonly Span<int> _ids;
    private readonly int _count;
    private readonly float _least;

    /// <param name="logits">Of all tokens.</param>
    /// <param name="weights">Of all tokens, from 0 to 1.</param>
    /// <param name="least">Tokens whose weights are below it are left out, above 0.</param>
    /// <param name="memory">Overwritten; see <see cref="Memory"/>.</param>
    public HeaviestFirst(ReadOnlySpan<float> logits, ReadOnlySpan<float> weights, float least, Span<float> memory)
    {
        _logits = logits;
        _weights = weights;
        _least = least;
        var room = weights.Length + HeavyTokens.Width;
        var heavy = memory[..room];
        var tokens = MemoryMarshal.Cast<float, int>(memory.Slice(room, room));
        _count = HeavyTokens.Copy(weights, least, heavy, tokens);
        _heavy = heavy;
        _tokens = tokens;
        _between = memory.Slice(2 * room, room);
        _ids = MemoryMarshal.Cast<float, int>(memory.Slice(3 * room, room));
        // The first bounds are the same whatever is looked for.
        _masses = memory.Slice(4 * room, HeavyTokens.Bounds);
        Span<float> bounds = stackalloc float[HeavyTokens.Bounds];
        Spread(BitConverter.SingleToInt32Bits(least), Step(least, AboveAll), bounds);
        HeavyTokens.Masses(heavy, _count, bounds, _masses);
    }

    /// <summary>Elements of memory that a search needs.</summary>
    public static int Memory(int tokens) => (4 * (tokens + HeavyTokens.Width)) + HeavyTokens.Bounds;

    /// <summary>The first token with which the mass exceeds a target, or the last of all.</summary>
    /// <param name="target">0 or more.</param>
    /// <param name="before">The mass of all likelier tokens.</param>
    /// <returns>Its key.</returns>
    public ulong Find(double target, out double before)
    {
        var heavy = _heavy;
        var tokens = _tokens;
        var count = _count;
        float least = _least, above = AboveAll;
        before = 0;
        for (var first = true; count > Few; first = false)
        {
            if (!Narrow(heavy[..count], first, target - before, ref least, ref above))
                break;
            var kept = HeavyTokens.Between(heavy, tokens, count, least * (1 - Margin), above * (1 + Margin), _between, _ids, out var mass);
            heavy = _between;
            tokens = _ids;
            count = kept;
            before += mass;
        }
        if (Rank(tokens[..count], target, ref before, out var found))
            return found;
        // Sums of a pass are rounded: next to a bound the token may be on its other side.
        before = 0;
        Rank(_tokens[.._count], target, ref before, out found);
        return found;
    }

    /// <summary>Narrows two bounds down to those around a target. False where nothing is between them any more but margins.</summary>
    private bool Narrow(ReadOnlySpan<float> heavy, bool first, double target, ref float least, ref float above)
    {
        // Bits of a positive number are nearly its logarithm.
        int from = BitConverter.SingleToInt32Bits(least), step = Step(least, above);
        if (step < 64)
            return false;
        Span<float> bounds = stackalloc float[HeavyTokens.Bounds];
        Span<float> masses = stackalloc float[HeavyTokens.Bounds];
        Spread(from, step, bounds);
        if (first)
            masses = _masses;
        else
            HeavyTokens.Masses(heavy, heavy.Length, bounds, masses);
        for (var i = 0; i < bounds.Length; i++)
        {
            if (masses[i] <= target)
            {
                above = bounds[i];
                break;
            }
            least = bounds[i];
        }
        return true;
    }

    /// <summary>
    /// Puts tokens in order, only as far as it takes to find the one with which the mass exceeds the target; the last one where it
    /// never does.
    /// </summary>
    /// <param name="tokens">What is ranked.</param>
    /// <param name="target">Of the mass of these and of what is before them.</param>
    /// <param name="before">The mass of likelier tokens; becomes that of all before the one that is found.</param>
    /// <param name="found">Its key.</param>
    /// <returns>False where it is not among them.</returns>
    private bool Rank(ReadOnlySpan<int> tokens, double target, ref double before, out ulong found)
    {
        found = 0;
        if (tokens.IsEmpty || before > target)
            return false;
        var rented = tokens.Length > Few ? ArrayPool<ulong>.Shared.Rent(tokens.Length) : null;
        Span<ulong> few = stackalloc ulong[Few];
        var keys = (rented ?? few)[..tokens.Length];
        for (var i = 0; i < keys.Length; i++)
            keys[i] = TokenKeys.Of(_logits[tokens[i]], tokens[i]);
        var reached = Reach(keys, target, ref before, out found);
        if (rented is not null)
            ArrayPool<ulong>.Shared.Return(rented);
        return reached;
    }

    private bool Reach(Span<ulong> keys, double target, ref double before, out ulong found)
    {
        while (keys.Length > Few)
        {
            var pivot = TokenKeys.Part(keys);
            double likelier = 0;
            foreach (var key in keys[..pivot])
                likelier += Weight(key);
            if (before + likelier > target)
            {
                keys = keys[..pivot];
                continue;
            }
            before += likelier;
            if (pivot == keys.Length - 1 || before + Weight(keys[pivot]) > target)
            {
                found = keys[pivot];
                return before + Weight(found) > target;
            }
            before += Weight(keys[pivot]);
            keys = keys[(pivot + 1)..];
        }
        TokenKeys.Sort(keys);
        found = keys[0];
        foreach (var key in keys)
        {
            found = key;
            var with = before + Weight(key);
            if (with > target)
                return true;
            before = with;
        }
        before -= Weight(found);
        return false;
    }

    private float Weight(ulong key) => _weights[TokenKeys.Token(key)];

    private static void Spread(int from, int step, Span<float> bounds)
    {
        for (var i = 0; i < bounds.Length; i++)
            bounds[i] = BitConverter.Int32BitsToSingle(from + ((i + 1) * step));
    }

    private static int Step(float least, float above) =>
        (BitConverter.SingleToInt32Bits(above) - BitConverter.SingleToInt32Bits(least)) / (HeavyTokens.Bounds + 1);
}
