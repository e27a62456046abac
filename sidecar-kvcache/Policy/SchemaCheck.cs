using System.Collections;
using System.Reflection;
using System.Text.Json;
using System.Text.RegularExpressions;
using Moebius.Crds;
using Moebius.Crds.Schema;

namespace Moebius.KvCache.Policy;

/// <summary>
/// The bounds that the API server enforces, for a file that never passed one: ranges, sizes, patterns, durations and
/// unique keys, read from the same attributes that the schema is generated from.
/// </summary>
internal static class SchemaCheck
{
    /// <exception cref="UserInputException">The first value out of bounds, by its path.</exception>
    public static void Check(object value, string path)
    {
        foreach (var property in value.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance))
        {
            if (property.GetIndexParameters().Length > 0 || property.GetValue(value) is not { } member)
                continue;
            var field = $"{path}.{JsonNamingPolicy.CamelCase.ConvertName(property.Name)}";
            CheckMember(property, member, field);
            if (member is IList list)
            {
                for (var index = 0; index < list.Count; index++)
                {
                    if (list[index] is { } item && IsOurs(item.GetType()))
                        Check(item, $"{field}[{index}]");
                }
            }
            else if (IsOurs(member.GetType()))
            {
                Check(member, field);
            }
        }
    }

    private static bool IsOurs(Type type) => type is { IsClass: true } && type.Namespace == typeof(Crds.V1Alpha1.KVPrivacyPolicySpec).Namespace;

    private static void CheckMember(PropertyInfo property, object member, string field)
    {
        if (property.GetCustomAttribute<RangeAttribute>() is { } range && member is IConvertible number
            && (number.ToInt64(null) < range.Minimum || number.ToInt64(null) > range.Maximum))
            throw new UserInputException($"{field}: {member} is out of range: {range.Minimum} to {range.Maximum}");

        if (property.GetCustomAttribute<SizeAttribute>() is { } size)
        {
            var (length, unit) = member switch
            {
                string text => (text.Length, "characters"),
                ICollection items => (items.Count, "items"),
                _ => (size.Minimum, ""),
            };
            if (length < size.Minimum || length > size.Maximum)
                throw new UserInputException($"{field}: {length} {unit}, must be {size.Minimum} to {size.Maximum}");
        }

        if (property.GetCustomAttribute<PatternAttribute>() is { } pattern && member is string matched
            && !Regex.IsMatch(matched, pattern.Expression, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant))
            throw new UserInputException($"{field}: '{matched}' does not match {pattern.Expression}");

        if (property.GetCustomAttribute<DurationAttribute>() is not null && member is string duration)
            Durations.Parse(duration, field);

        if (property.GetCustomAttribute<ListMapAttribute>() is { } map && member is IList entries)
            CheckUnique(entries.Cast<object>().Select(entry => KeyOf(entry, map.Key)), field);
        if (property.GetCustomAttribute<ListSetAttribute>() is not null && member is IList set)
            CheckUnique(set.Cast<object>(), field);
    }

    private static object KeyOf(object entry, string key) =>
        entry.GetType().GetProperties().First(property => JsonNamingPolicy.CamelCase.ConvertName(property.Name) == key).GetValue(entry)!;

    private static void CheckUnique(IEnumerable<object> keys, string field)
    {
        var seen = new HashSet<object>();
        foreach (var key in keys)
        {
            if (!seen.Add(key))
                throw new UserInputException($"{field}: '{key}' appears twice");
        }
    }
}
