using System.Text.RegularExpressions;
using Moebius.Crds;

namespace Moebius.Operator.Planning.Validation;

/// <summary>Names that children and labels are made from have tighter rules than names of resources.</summary>
internal static partial class NameCheck
{
    /// <summary>Longest label value and Service name.</summary>
    public const int LabelLength = 63;

    /// <summary>Errors of a resource's name.</summary>
    /// <param name="name">The name.</param>
    /// <param name="maximum">Longest name that leaves room for what children add to it.</param>
    public static IEnumerable<string> Errors(string name, int maximum)
    {
        if (name.Length > maximum || !Label().IsMatch(name))
            yield return $"metadata.name: '{name}' must be at most {maximum} lower-case letters, digits and dashes, and start with a letter: it becomes part of the names of the objects made for it";
    }

    /// <summary>Runs a check that throws, and gives its message as an error.</summary>
    public static IEnumerable<string> Catch(Action check)
    {
        try
        {
            check();
        }
        catch (UserInputException error)
        {
            return [error.Message];
        }

        return [];
    }

    /// <summary>Errors of a quantity of bytes that may not be zero.</summary>
    public static IEnumerable<string> Positive(k8s.Models.ResourceQuantity quantity, string field) => Positive(() => Quantities.Bytes(quantity, field), quantity, field);

    /// <summary>Errors of a quantity of bytes that may not be zero.</summary>
    public static IEnumerable<string> Positive(ByteQuantity quantity, string field) => Positive(() => Quantities.Bytes(quantity, field), quantity, field);

    private static IEnumerable<string> Positive(Func<long> bytes, object quantity, string field) => Catch(() =>
    {
        if (bytes() == 0)
            throw new UserInputException($"{field}: '{quantity}' is nothing: write a whole, positive quantity such as 512Mi");
    });

    [GeneratedRegex("^[a-z]([-a-z0-9]*[a-z0-9])?$", RegexOptions.CultureInvariant)]
    private static partial Regex Label();
}
