using System.Runtime.CompilerServices;
using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

/// <summary>
/// One pass over a folded text. Each character is looked at a bounded number of times: every look ahead or back has a
/// fixed limit, so the work grows with the length of the text and with nothing else.
/// </summary>
internal sealed class RuleScanner
{
    private readonly ScanView _view;
    private readonly char[] _text;
    private readonly int _length;
    private readonly HintTrail _hints;
    private readonly NumberScanner _numbers;
    private readonly TokenScanner _tokens;
    private readonly AddressScanner _addresses;
    private readonly MailScanner _mail;
    private readonly AssignmentScanner _assignments;
    private readonly PositionScanner _positions;
    private readonly FindingSink _sink;

    public RuleScanner(ScanView view, FindingSink sink)
    {
        _view = view;
        _text = view.Text;
        _length = view.Length;
        _sink = sink;
        _hints = new HintTrail(view);
        _numbers = new NumberScanner(view, sink, _hints);
        _tokens = new TokenScanner(view, sink, _hints);
        _addresses = new AddressScanner(view, sink);
        _mail = new MailScanner(view, sink);
        _assignments = new AssignmentScanner(view, sink);
        _positions = new PositionScanner(view, sink, _hints);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Scan()
    {
        var position = 0;
        while (position < _length)
        {
            var character = _text[position];
            if (char.IsAsciiDigit(character))
                position = ScanDigit(position);
            else if (char.IsAsciiLetter(character) || (character >= 128 && Letters.IsLetter(character)))
                position = ScanLetter(position);
            else
                position = ScanOther(position, character);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int ScanDigit(int position)
    {
        if (StartsToken(position) && _tokens.TryScan(position, out var tokenEnd))
            return tokenEnd;
        if (position > 0 && char.IsAsciiLetter(_text[position - 1]) && !IsLoneLetter(position - 1))
        {
            while (position < _length && char.IsAsciiDigit(_text[position]))
                position++;
            return position;
        }

        if (_positions.TryScan(position, out var positionEnd))
            return positionEnd;
        var end = _numbers.Scan(position);
        if (position == 0 || !char.IsAsciiLetter(_text[position - 1]))
            _addresses.SawNumber(position, end);
        return end;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int ScanLetter(int position)
    {
        var character = _text[position];
        if (character >= Letters.FirstIdeograph)
        {
            var hint = Vocabulary.FindIdeographic(_text.AsSpan(position, Math.Min(8, _length - position)), out var length);
            if (hint != Hint.None)
            {
                Saw(hint, position, position + length);
                return position + length;
            }

            return _addresses.SawIdeograph(position);
        }

        if (StartsToken(position) && _tokens.TryScan(position, out var tokenEnd))
            return tokenEnd;
        var end = position + 1;
        while (end < _length && (char.IsAsciiLetter(_text[end]) || (_text[end] is >= (char)128 and < (char)0x2E80 && (char.IsLetter(_text[end]) || char.IsSurrogate(_text[end])))))
            end++;
        var word = _text.AsSpan(position, end - position);
        var found = Vocabulary.Find(word);
        // Keys are often written as one: api_key, client-secret, aws_secret_access_key.
        Saw(found, position, end);
        if (word is [('a' or 'A'), ('t' or 'T')])
            _mail.ScanWord(position, end);
        _addresses.SawWord(position, end, found);
        return end;
    }

    private void Saw(Hint hint, int start, int end)
    {
        if (hint == Hint.None)
            return;
        _hints.Saw(hint, end);
        if ((hint & (Hint.Secret | Hint.WeakSecret | Hint.Key)) != 0)
            _assignments.Scan(start, end, hint);
        if ((hint & Hint.Bearer) != 0)
            _assignments.ScanHeader(start, end);
        if ((hint & Hint.Plate) != 0)
            _assignments.ScanPlate(end);
        if ((hint & Hint.Command) != 0)
            _assignments.ScanPhrase(start, end);
        if ((hint & Hint.Month) != 0)
            _positions.ScanWrittenDate(start, end);
        if ((hint & Hint.Birth) != 0)
            _positions.ScanBirthAfterDate(start);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int ScanOther(int position, char character)
    {
        switch (character)
        {
            case '@':
                // jane[@]example.org.
                if (position > 0 && position + 1 < _length && _text[position - 1] is '(' or '[' or '{' or '<' && _text[position + 1] is ')' or ']' or '}' or '>')
                    _mail.Scan(position - 1, position + 2);
                else
                    _mail.Scan(position, position + 1);
                break;
            case '(' or '[' or '{' or '<' when position + 3 < _length && (_text[position + 1] | 0x20) == 'a' && (_text[position + 2] | 0x20) == 't' && _text[position + 3] is ')' or ']' or '}' or '>':
                _mail.Scan(position, position + 4);
                break;
            case ':' when position + 2 < _length && _text[position + 1] == '/' && _text[position + 2] == '/':
                _assignments.ScanUrl(position);
                break;
            case ':' when position + 2 < _length && _text[position + 1] == ':' && (position == 0 || _text[position - 1] == ' ' || _text[position - 1] == '[') && char.IsAsciiHexDigit(_text[position + 2]):
                if (_tokens.TryNetwork(position, out var networkEnd))
                    return networkEnd;
                break;
            case '-' when position + 11 <= _length && _text.AsSpan(position, 10).SequenceEqual("-----BEGIN"):
                return ScanPem(position);
            case '°':
                _positions.ScanDegree(position);
                break;
            case ' ' or '.' or '\'' or '-' or ',':
                break;
            default:
                _addresses.Reset();
                break;
        }

        return position + 1;
    }

    private int ScanPem(int start)
    {
        var header = _text.AsSpan(start, Math.Min(80, _length - start));
        // What the policy leaves out hides nothing that it does not.
        if (!_sink.Wants(SecretKind.PrivateKey) || header.IndexOf("PRIVATE KEY") < 0)
            return start + 10;
        var end = _text.AsSpan(start + 10, _length - start - 10).IndexOf("-----END");
        var stop = end < 0 ? _length : Math.Min(_length, start + 10 + end + 30);
        _sink.Add(_view, SecretKind.PrivateKey, start, stop);
        return stop;
    }

    private bool StartsToken(int position) =>
        position == 0 || !(char.IsAsciiLetterOrDigit(_text[position - 1]) || _text[position - 1] is '_' or '-');

    private bool IsLoneLetter(int position) => position == 0 || !char.IsAsciiLetterOrDigit(_text[position - 1]);
}
