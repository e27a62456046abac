using System.Collections;
using System.Reflection;
using System.Text.Json;
using System.Text.RegularExpressions;
using Moebius.Crds;
using Moebius.Crds.Schema;

namespace Moebius.PromptOptimizer;

/// <summary>A field whose value cannot be honoured: its path, and what is wrong with it and what would be right.</summary>
internal sealed record FieldError(string Field, string Problem);

/// <summary>
/// Checks a value against the bounds that its type declares. An API server checks them for a custom resource; a
/// configuration file or a request body comes past none, so they are checked again here.
/// </summary>
internal static class Bounds
{
    public static IEnumerable<FieldError> Check(object value, string path = "")
    {
        foreach (var property in value.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance))
        {
            if (property.GetIndexParameters().Length > 0 || property.GetValue(value) is not { } field)
                continue;
            var name = JsonNamingPolicy.CamelCase.ConvertName(property.Name);
            var here = path.Length == 0 ? name : $"{path}.{name}";
            foreach (var error in CheckField(property, field, here))
                yield return error;
            if (field is string or Enum)
                continue;
            if (field is IEnumerable items)
            {
                var index = 0;
                foreach (var item in items)
                {
                    if (item is not null && IsOurs(item))
                        foreach (var error in Check(item, $"{here}[{index}]"))
                            yield return error;
                    index++;
                }
            }
            else if (IsOurs(field))
            {
                foreach (var error in Check(field, here))
                    yield return error;
            }
        }
    }

    private static bool IsOurs(object value) => value is not Enum && value.GetType().Namespace?.StartsWith("Moebius.", StringComparison.Ordinal) == true;

    private static IEnumerable<FieldError> CheckField(PropertyInfo property, object field, string path)
    {
        if (property.GetCustomAttribute<RangeAttribute>() is { } range && field is int number && (number < range.Minimum || number > range.Maximum))
            yield return new(path, $"{number} is out of range: write a whole number from {range.Minimum} to {range.Maximum}");
        if (property.GetCustomAttribute<SizeAttribute>() is { } size)
        {
            if (field is string text && (text.Length < size.Minimum || text.Length > size.Maximum))
                yield return new(path, $"{text.Length} characters, must be {size.Minimum} to {size.Maximum}");
            else if (field is ICollection list && (list.Count < size.Minimum || list.Count > size.Maximum))
                yield return new(path, $"{list.Count} items, must be {size.Minimum} to {size.Maximum}");
        }

        if (field is string value && property.GetCustomAttribute<PatternAttribute>() is { } pattern
            && !Regex.IsMatch(value, pattern.Expression, RegexOptions.NonBacktracking))
            yield return new(path, $"'{value}' does not match {pattern.Expression}");
        if (field is string duration && property.GetCustomAttribute<DurationAttribute>() is not null && DurationProblem(duration) is { } problem)
            yield return new(path, problem);
    }

    private static string? DurationProblem(string text)
    {
        try
        {
            // The parser's message starts with the field; the path is put in front by the caller.
            return Durations.Parse(text, "") > TimeSpan.Zero ? null : $"'{text}' is no time at all: write a duration above zero, such as 60s";
        }
        catch (UserInputException error)
        {
            return error.Message.TrimStart(':', ' ');
        }
    }
}
