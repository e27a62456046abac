using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

// Values on the line behind their label.
internal sealed partial class AssignmentScanner
{
    private const int LeastInForm = 8;
    private const int LeastInBlock = 4;
    private const int MaxIndent = 32;

    /// <summary>
    /// What was copied from a form: the word alone on its line, or the last on it with a colon, the value alone on the next. Or a YAML
    /// block: password: |, and the value below.
    /// </summary>
    private bool TryForm(int start, int end)
    {
        var position = SkipBlanks(end);
        var (isLabel, isBlock) = (position < view.Length && _text[position] == ':', false);
        if (isLabel)
        {
            position = SkipBlanks(position + 1);
            isBlock = position < view.Length && _text[position] is '|' or '>';
            if (isBlock)
                position = SkipBlanks(position + (position + 1 < view.Length && _text[position + 1] is '-' or '+' ? 2 : 1));
        }
        else if (position > end || !(start == 0 || _text[start - 1] == '\n'))
        {
            return false;
        }

        if (position < view.Length && _text[position] == '\r')
            position++;
        if (position >= view.Length || _text[position] != '\n')
            return false;
        position = isLabel ? SkipBlanks(position + 1) : position + 1;
        var valueEnd = Value(position);
        var length = valueEnd - position;
        var after = isLabel ? SkipBlanks(valueEnd) : valueEnd;
        return length >= (isBlock ? LeastInBlock : LeastInForm) && (after == view.Length || _text[after] is '\n' or '\r')
            && LooksSecret(position, out var digits) && (isBlock || (digits > 0 && digits < length)) && !Placeholders.IsOne(_text.AsSpan(position, length))
            && sink.Add(view, SecretKind.Password, start, valueEnd);
    }

    private int SkipBlanks(int position)
    {
        for (var limit = Math.Min(view.Length, position + MaxIndent); position < limit && _text[position] is ' ' or '\t';)
            position++;
        return position;
    }
}
