namespace Moebius.Inference.Tools;

/// <summary>How a family of models writes calls between other text. Pure.</summary>
internal interface ICallSyntax
{
    /// <summary>Texts that a call may begin with.</summary>
    IReadOnlyList<string> Openers { get; }

    /// <summary>Texts of tokens that belong to calls, which tokenizers may hold to be control tokens without text.</summary>
    IReadOnlyList<string> Markers { get; }

    /// <summary>Reads calls at the beginning of a text. What is decided once stays so with more text.</summary>
    /// <param name="text">Begins with one of <see cref="Openers"/>.</param>
    /// <param name="ended">Nothing follows.</param>
    CallReading Read(string text, bool ended);
}

/// <summary>What the beginning of a text is.</summary>
/// <param name="Length">Characters that were read; 0: it takes more text to say. Without calls, they are content.</param>
/// <param name="Calls">The calls in them.</param>
internal readonly record struct CallReading(int Length, IReadOnlyList<CallPart> Calls)
{
    /// <summary>It takes more text.</summary>
    public static CallReading More => new(0, []);

    /// <summary>So many characters are no call.</summary>
    public static CallReading Text(int length) => new(length, []);

    /// <summary>More text could still make a call of it; without any, the opener is content.</summary>
    public static CallReading Undecided(bool ended, string opener) => ended ? Text(opener.Length) : More;
}
