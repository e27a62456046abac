using System.Runtime.CompilerServices;
using System.Text;

namespace Moebius.Inference.Text.Jinja;

/// <summary>What a template may make: one that makes more must not take the server with it.</summary>
internal static class Bounds
{
    /// <summary>Characters of a text.</summary>
    public const int LargestText = 1 << 24;

    /// <summary>Digits of an integer that is read, as in Python: its text takes the square of them, or nearly.</summary>
    public const int MostDigits = 4300;

    private const int LargestList = 1 << 20;

    /// <exception cref="JinjaException">A text of so many characters is too long.</exception>
    public static void Text(long characters)
    {
        if (characters > LargestText)
            throw new JinjaException($"a text would have more than {LargestText} characters");
    }

    /// <exception cref="JinjaException">A list of so many items is too long.</exception>
    public static void Items(long items)
    {
        if (items > LargestList)
            throw new JinjaException($"a list would have more than {LargestList} items");
    }

    /// <summary>To be called on every level of what calls itself.</summary>
    /// <exception cref="JinjaException">The stack is nearly used up.</exception>
    public static void Nesting(int line = 0)
    {
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw new JinjaException("expressions, blocks or values are nested too deeply", line);
    }

    public static string Concat(string first, string second)
    {
        Text((long)first.Length + second.Length);
        return first + second;
    }

    public static string Join(string separator, IEnumerable<string> parts)
    {
        var result = new StringBuilder();
        var first = true;
        foreach (var part in parts)
        {
            Text((long)result.Length + separator.Length + part.Length);
            result.Append(first ? "" : separator).Append(part);
            first = false;
        }

        return result.ToString();
    }
}
