using System.Text.RegularExpressions;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Crds.Validation;

/// <summary>Expressions of a policy's own rules, checked alike where a resource is planned and where a sidecar reads it.</summary>
public static class RuleExpression
{
    /// <summary>Compiles a rule's pattern for matching in linear time.</summary>
    /// <param name="rule">The rule.</param>
    /// <param name="field">Where it stands, for messages.</param>
    /// <exception cref="UserInputException">It is no expression, one that cannot be matched in linear time, or one that every text matches.</exception>
    public static Regex Compile(CustomRule rule, string field)
    {
        Regex expression;
        try
        {
            expression = new Regex(rule.Pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant | (rule.IgnoreCase == true ? RegexOptions.IgnoreCase : RegexOptions.None));
        }
        catch (Exception error) when (error is ArgumentException or NotSupportedException)
        {
            var why = error is NotSupportedException ? "look-around, back-references and atomic groups cannot be matched in linear time: write it without them" : error.Message;
            throw new UserInputException($"{field}.pattern: '{rule.Pattern}' is not usable: {why}", error);
        }

        return expression.IsMatch("")
            ? throw new UserInputException($"{field}.pattern: '{rule.Pattern}' matches the empty text: every text would be private")
            : expression;
    }
}
