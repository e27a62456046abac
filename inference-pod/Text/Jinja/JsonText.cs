using System.Numerics;
using System.Text;

namespace Moebius.Inference.Text.Jinja;

/// <summary>JSON as Python's <c>json.dumps</c> writes it, which is what models were trained on.</summary>
internal static class JsonText
{
    public static string Write(object? value, int? indent, string itemSeparator, string keySeparator, bool sortKeys, bool asciiOnly)
    {
        var output = new StringBuilder();
        Write(value, 0);
        return output.ToString();

        void Write(object? current, int depth)
        {
            Bounds.Nesting();
            Bounds.Text(output.Length);
            switch (current)
            {
                case null:
                    output.Append("null");
                    break;
                case bool flag:
                    output.Append(flag ? "true" : "false");
                    break;
                case long or BigInteger:
                    output.Append(Python.Repr(current));
                    break;
                case double number:
                    output.Append(Python.Float(number));
                    break;
                case string text:
                    String(output, text, asciiOnly);
                    break;
                case JinjaList list:
                    Many('[', ']', list.Items, depth, item => Write(item, depth + 1));
                    break;
                case JinjaMap map:
                    var items = sortKeys ? map.OrderBy(item => Python.Str(item.Key), StringComparer.Ordinal) : map.AsEnumerable();
                    Many('{', '}', items.ToList(), depth, item =>
                    {
                        String(output, Python.Str(item.Key), asciiOnly);
                        output.Append(keySeparator);
                        Write(item.Value, depth + 1);
                    });
                    break;
                default:
                    throw new JinjaException($"'tojson' cannot write {Python.TypeName(current)}");
            }
        }

        void Many<T>(char open, char close, IReadOnlyList<T> items, int depth, Action<T> write)
        {
            output.Append(open);
            for (var i = 0; i < items.Count; i++)
            {
                if (i > 0)
                    output.Append(itemSeparator);
                NewLine(depth + 1);
                write(items[i]);
            }

            if (items.Count > 0)
                NewLine(depth);
            output.Append(close);
        }

        void NewLine(int depth)
        {
            if (indent is { } width)
                output.Append('\n').Append(' ', width * depth);
        }
    }

    private static void String(StringBuilder output, string text, bool asciiOnly)
    {
        output.Append('"');
        foreach (var character in text)
        {
            output.Append(character switch
            {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                '\b' => "\\b",
                '\f' => "\\f",
                < ' ' => $"\\u{(int)character:x4}",
                > '~' when asciiOnly => $"\\u{(int)character:x4}",
                _ => character.ToString(),
            });
        }

        output.Append('"');
    }
}
