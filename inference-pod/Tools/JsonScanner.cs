namespace Moebius.Inference.Tools;

/// <summary>What a character is to a JSON value that is being read.</summary>
internal enum JsonStep
{
    /// <summary>A part of it, and more follows.</summary>
    More,

    /// <summary>Its last character.</summary>
    Last,

    /// <summary>It ended before this character. Only numbers end so.</summary>
    Past,

    /// <summary>No JSON can go on so.</summary>
    Wrong,
}

/// <summary>Reads one JSON value (RFC 8259) character by character, in constant memory and time for each. Pure.</summary>
internal struct JsonScanner
{
    /// <summary>Deepest nesting: one bit for each level.</summary>
    public const int MostLevels = 64;

    private State _state;
    private Number _number;
    private string _word;
    private int _left;
    private int _depth;
    private ulong _objects;

    private enum State
    {
        Value,
        FirstItem,
        FirstKey,
        Key,
        Colon,
        AfterItem,
        Text,
        KeyText,
        Escape,
        Code,
        Word,
        Number,
    }

    private enum Number
    {
        Minus,
        Zero,
        Whole,
        Point,
        Fraction,
        Exponent,
        ExponentSign,
        ExponentDigits,
    }

    private bool _inKey;

    private readonly bool InObject => (_objects & (1UL << (_depth - 1))) != 0;

    /// <summary>Takes more characters, as far as they belong to the value.</summary>
    /// <param name="text">The characters.</param>
    /// <param name="length">How many belong to it.</param>
    /// <returns>What the last one that was looked at is.</returns>
    public JsonStep Push(ReadOnlySpan<char> text, out int length)
    {
        for (length = 0; length < text.Length; length++)
        {
            var step = Push(text[length]);
            if (step == JsonStep.More)
                continue;
            length += step == JsonStep.Last ? 1 : 0;
            return step;
        }

        return JsonStep.More;
    }

    /// <summary>Takes the next character. After anything but <see cref="JsonStep.More"/> nothing may follow.</summary>
    public JsonStep Push(char character)
    {
        switch (_state)
        {
            case State.Text or State.KeyText:
                if (character == '"')
                    return EndText();
                if (character == '\\')
                    (_inKey, _state) = (_state == State.KeyText, State.Escape);
                return character < ' ' ? JsonStep.Wrong : JsonStep.More;
            case State.Escape:
                (_state, _left) = character == 'u' ? (State.Code, 4) : (Quoted, 0);
                return "\"\\/bfnrtu".Contains(character, StringComparison.Ordinal) ? JsonStep.More : JsonStep.Wrong;
            case State.Code:
                if (--_left == 0)
                    _state = Quoted;
                return char.IsAsciiHexDigit(character) ? JsonStep.More : JsonStep.Wrong;
            case State.Word:
                if (character != _word[_left++])
                    return JsonStep.Wrong;
                return _left == _word.Length ? EndItem() : JsonStep.More;
            case State.Number when Digit(character) is { } next:
                _number = next;
                return JsonStep.More;
            case State.Number:
                if (_number is Number.Minus or Number.Point or Number.Exponent or Number.ExponentSign)
                    return JsonStep.Wrong;
                if (_depth == 0)
                    return JsonStep.Past;
                _state = State.AfterItem;
                break;
        }

        // Between tokens.
        if (character is ' ' or '\n' or '\r' or '\t')
            return JsonStep.More;
        switch (_state)
        {
            case State.FirstItem when character == ']':
            case State.FirstKey when character == '}':
                return Close();
            case State.FirstKey or State.Key:
                _state = State.KeyText;
                return character == '"' ? JsonStep.More : JsonStep.Wrong;
            case State.Colon:
                _state = State.Value;
                return character == ':' ? JsonStep.More : JsonStep.Wrong;
            case State.AfterItem:
                if (character == ',')
                {
                    _state = InObject ? State.Key : State.Value;
                    return JsonStep.More;
                }

                return character == (InObject ? '}' : ']') ? Close() : JsonStep.Wrong;
            default:
                return Begin(character);
        }
    }

    private readonly State Quoted => _inKey ? State.KeyText : State.Text;

    private JsonStep Begin(char character)
    {
        switch (character)
        {
            case '{' or '[':
                if (_depth == MostLevels)
                    return JsonStep.Wrong;
                var bit = 1UL << _depth++;
                _objects = character == '{' ? _objects | bit : _objects & ~bit;
                _state = character == '{' ? State.FirstKey : State.FirstItem;
                return JsonStep.More;
            case '"':
                _state = State.Text;
                return JsonStep.More;
            case 't' or 'f' or 'n':
                (_state, _left) = (State.Word, 1);
                _word = character switch { 't' => "true", 'f' => "false", _ => "null" };
                return JsonStep.More;
            case '-' or (>= '0' and <= '9'):
                _state = State.Number;
                _number = character switch { '-' => Number.Minus, '0' => Number.Zero, _ => Number.Whole };
                return JsonStep.More;
            default:
                return JsonStep.Wrong;
        }
    }

    /// <summary>Where a character leads inside a number; null: it is none of it.</summary>
    private readonly Number? Digit(char character) => (_number, character) switch
    {
        (Number.Minus, '0') => Number.Zero,
        (Number.Minus or Number.Whole, >= '0' and <= '9') => Number.Whole,
        (Number.Zero or Number.Whole, '.') => Number.Point,
        (Number.Point or Number.Fraction, >= '0' and <= '9') => Number.Fraction,
        (Number.Zero or Number.Whole or Number.Fraction, 'e' or 'E') => Number.Exponent,
        (Number.Exponent, '+' or '-') => Number.ExponentSign,
        (Number.Exponent or Number.ExponentSign or Number.ExponentDigits, >= '0' and <= '9') => Number.ExponentDigits,
        _ => null,
    };

    private JsonStep EndText()
    {
        if (_state == State.Text)
            return EndItem();
        _state = State.Colon;
        return JsonStep.More;
    }

    private JsonStep Close()
    {
        _depth--;
        return EndItem();
    }

    private JsonStep EndItem()
    {
        _state = State.AfterItem;
        return _depth == 0 ? JsonStep.Last : JsonStep.More;
    }
}
