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

    private State state;
    private Number number;
    private string word;
    private int left;
    private int depth;
    private ulong objects;

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

    private bool inKey;

    private readonly bool InObject => (objects & (1UL << (depth - 1))) != 0;

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
        switch (state)
        {
            case State.Text or State.KeyText:
                if (character == '"')
                    return EndText();
                if (character == '\\')
                    (inKey, state) = (state == State.KeyText, State.Escape);
                return character < ' ' ? JsonStep.Wrong : JsonStep.More;
            case State.Escape:
                (state, left) = character == 'u' ? (State.Code, 4) : (Quoted, 0);
                return "\"\\/bfnrtu".Contains(character, StringComparison.Ordinal) ? JsonStep.More : JsonStep.Wrong;
            case State.Code:
                if (--left == 0)
                    state = Quoted;
                return char.IsAsciiHexDigit(character) ? JsonStep.More : JsonStep.Wrong;
            case State.Word:
                if (character != word[left++])
                    return JsonStep.Wrong;
                return left == word.Length ? EndItem() : JsonStep.More;
            case State.Number when Digit(character) is { } next:
                number = next;
                return JsonStep.More;
            case State.Number:
                if (number is Number.Minus or Number.Point or Number.Exponent or Number.ExponentSign)
                    return JsonStep.Wrong;
                if (depth == 0)
                    return JsonStep.Past;
                state = State.AfterItem;
                break;
        }

        // Between tokens.
        if (character is ' ' or '\n' or '\r' or '\t')
            return JsonStep.More;
        switch (state)
        {
            case State.FirstItem when character == ']':
            case State.FirstKey when character == '}':
                return Close();
            case State.FirstKey or State.Key:
                state = State.KeyText;
                return character == '"' ? JsonStep.More : JsonStep.Wrong;
            case State.Colon:
                state = State.Value;
                return character == ':' ? JsonStep.More : JsonStep.Wrong;
            case State.AfterItem:
                if (character == ',')
                {
                    state = InObject ? State.Key : State.Value;
                    return JsonStep.More;
                }

                return character == (InObject ? '}' : ']') ? Close() : JsonStep.Wrong;
            default:
                return Begin(character);
        }
    }

    private readonly State Quoted => inKey ? State.KeyText : State.Text;

    private JsonStep Begin(char character)
    {
        switch (character)
        {
            case '{' or '[':
                if (depth == MostLevels)
                    return JsonStep.Wrong;
                var bit = 1UL << depth++;
                objects = character == '{' ? objects | bit : objects & ~bit;
                state = character == '{' ? State.FirstKey : State.FirstItem;
                return JsonStep.More;
            case '"':
                state = State.Text;
                return JsonStep.More;
            case 't' or 'f' or 'n':
                (state, left) = (State.Word, 1);
                word = character switch { 't' => "true", 'f' => "false", _ => "null" };
                return JsonStep.More;
            case '-' or (>= '0' and <= '9'):
                state = State.Number;
                number = character switch { '-' => Number.Minus, '0' => Number.Zero, _ => Number.Whole };
                return JsonStep.More;
            default:
                return JsonStep.Wrong;
        }
    }

    /// <summary>Where a character leads inside a number; null: it is none of it.</summary>
    private readonly Number? Digit(char character) => (number, character) switch
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
        if (state == State.Text)
            return EndItem();
        state = State.Colon;
        return JsonStep.More;
    }

    private JsonStep Close()
    {
        depth--;
        return EndItem();
    }

    private JsonStep EndItem()
    {
        state = State.AfterItem;
        return depth == 0 ? JsonStep.Last : JsonStep.More;
    }
}
