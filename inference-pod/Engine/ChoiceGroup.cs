namespace Moebius.Inference.Engine;

/// <summary>The outputs that a request asks for with one prompt (<c>n</c>). Used by the engine's thread only.</summary>
/// <param name="count">How many.</param>
internal sealed class ChoiceGroup(int count)
{
    private int _running = count;

    /// <summary>How many.</summary>
    public int Count { get; } = count;

    /// <summary>Tokens of the longest one that has ended.</summary>
    public int Longest { get; private set; }

    /// <summary>Their prompt has been looked up in the prefix cache.</summary>
    public bool LookedUp { get; set; }

    /// <summary>One has ended. True when it was the last.</summary>
    public bool End(int generated)
    {
        Longest = Math.Max(Longest, generated);
        return --_running == 0;
    }
}
