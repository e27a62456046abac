using System.Runtime.CompilerServices;
using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

/// <summary>
/// Street addresses: a house number before or after a name that is, or contains, a word for a street. Follows numbers
/// and words as the pass meets them.
/// </summary>
internal sealed partial class AddressScanner(ScanView view, FindingSink sink)
{
    private const int MaxNameWords = 5;
    private const int MaxAhead = 64;

    private static readonly WordTable Particles = WordTable.Of(
    [
        "de", "la", "le", "les", "du", "des", "del", "della", "di", "da", "do", "dos", "das", "van", "der", "den", "von", "zu", "zur", "zum", "am", "an", "of", "the", "dem", "el", "los", "las", "y", "e", "no", "nr", "num", "baruna", "i", "st", "saint", "d", "l", "s", "д", "дом", "буд",
    ]);

    private static readonly WordTable TimeWords = WordTable.Of(
    [
        "in", "the", "since", "by", "from", "until", "till", "during", "of", "and", "or", "around", "about", "before", "after", "year", "early", "late", "mid", "circa", "a", "an", "this", "that", "his", "her", "its", "their", "for", "im", "en",
    ]);

    private readonly char[] _text = view.Text;
    private int _numberStart = -1;
    private int _nameEnd;
    private int _nameWords;
    private int _particles;

    /// <summary>Something stands here that no address contains.</summary>
    public void Reset() => _numberStart = -1;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void SawNumber(int start, int end)
    {
        var length = end - start;
        _numberStart = -1;
        if (start > 3 && _text[start - 1] >= Letters.FirstIdeograph && JapanesePlace(start) is var place and >= 0)
        {
            sink.Add(view, SecretKind.StreetAddress, place, end);
            return;
        }

        if (length > 6)
            return;
        if (end < view.Length && _text[end] is '号' or '號' or '丁' or '番' && start > 0 && _text[start - 1] >= 0x2E80)
        {
            var name = start;
            while (name > 0 && start - name < 12 && _text[name - 1] >= 0x2E80 && char.IsLetter(_text[name - 1]))
                name--;
            sink.Add(view, SecretKind.StreetAddress, name, end + 1);
            return;
        }

        // 테헤란로 241: a road and its number.
        if (start > 3 && _text[start - 1] == ' ' && _text[start - 2] is '로' or '길' && char.IsLetter(_text[start - 3]) && _text[start - 3] >= 0xAC00)
        {
            var road = start - 2;
            while (road > 0 && start - road < 16 && _text[road - 1] >= 0xAC00 && char.IsLetter(_text[road - 1]))
                road--;
            sink.Add(view, SecretKind.StreetAddress, road, end);
            return;
        }

        if (!IsYear(start, end) && (AfterAnnouncement(start, end) || AfterForeignName(start, end)))
            return;
        // "In 1856 South Carolina": a year in a sentence, not a house.
        if (IsYear(start, end) && FollowsTimeWord(start))
            return;
        (_numberStart, _nameEnd, _nameWords, _particles) = (start, end, 0, 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void SawWord(int start, int end, Hint hint)
    {
        if ((hint & Hint.Address) != 0)
            (_announced, _announcedByPlace) = IsAnnouncement(end) ? (end, false) : (_announced, _announcedByPlace);
        else if ((hint & Hint.Residence) != 0 && FollowedByPlace(end))
            (_announced, _announcedByPlace) = (end, true);

        if ((hint & (Hint.StreetBeforeName | Hint.StreetNumbered)) != 0 && !IsBareAbbreviation(start, end))
            ScanNumberBehind(start, end, hint);
        if (hint == Hint.None && char.IsUpper(_text[start]) && StreetWords.IsPreposition(_text.AsSpan(start, end - start)))
            ScanNumberBehind(start, end, Hint.None);
        if ((hint & Hint.PostBox) != 0)
            ScanPostBox(start, end);
        if ((hint & Hint.StreetEnding) != 0 && char.IsUpper(_text[start]))
            ScanNumberRightBehind(start, end);
        if (_numberStart < 0)
            return;
        if (start - _nameEnd > 2 || !OnlySpaces(_nameEnd, start) || (_nameWords == 0 && start > _nameEnd && _text[_nameEnd] is ',' or '.' or '-'))
        {
            // 12a Baker Street: the letter belongs to the number.
            if (start == _nameEnd && _nameWords == 0 && end - start == 1)
            {
                _nameEnd = end;
                return;
            }

            Reset();
            return;
        }

        var capital = char.IsUpper(_text[start]) || (_text[start] >= 128 && !char.IsLower(_text[start]));
        // 12 Baker Street; 8 rue Laffitte has its word first, the name must follow.
        if ((hint & Hint.StreetAfterName) != 0 && capital && _nameWords > _particles && !(_nameWords == 1 && (hint & Hint.Month) != 0))
        {
            sink.Add(view, SecretKind.StreetAddress, _numberStart, end);
            Reset();
            return;
        }

        if ((hint & Hint.StreetBeforeName) != 0 && _nameWords == 0 && !IsBareAbbreviation(start, end) && NameFollows(end, out var nameEnd) && StreetWords.LeadsName(_text.AsSpan(start, end - start)))
        {
            sink.Add(view, SecretKind.StreetAddress, _numberStart, nameEnd);
            Reset();
            return;
        }

        var particle = !capital && IsParticle(start, end);
        if ((!capital && !particle) || ++_nameWords > MaxNameWords || (hint & Hint.Month) != 0)
        {
            Reset();
            return;
        }

        _particles += particle ? 1 : 0;
        _nameEnd = end;
    }

    /// <summary>A character of a script without spaces: part of a name.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public int SawIdeograph(int position)
    {
        var end = position;
        while (end < view.Length && end - position < 16 && _text[end] >= Letters.FirstIdeograph && Letters.IsLetter(_text[end]) && (end == position || !Ends(end)))
            end++;
        if (_numberStart >= 0 && position - _nameEnd <= 2)
        {
            // Korean: 150 and a district, a town or a road.
            if (_text[end - 1] is '읍' or '면' or '동' or '로' or '길' or '리' or '구' && position > _nameEnd && end - position >= 2 && (end == view.Length || !char.IsLetter(_text[end])))
            {
                sink.Add(view, SecretKind.StreetAddress, _numberStart, end);
                Reset();
            }
            else
            {
                _nameWords++;
                _nameEnd = end;
            }
        }

        return Math.Max(end, position + 1);
    }

    private int _announced = int.MinValue / 2;
    private bool _announcedByPlace;

    private bool Ends(int position) => Vocabulary.FindIdeographic(_text.AsSpan(position, Math.Min(8, view.Length - position)), out _) != Hint.None;

    private bool FollowsTimeWord(int start)
    {
        if (start < 2 || _text[start - 1] != ' ')
            return false;
        if (_text[start - 2] == ',')
            return true;
        var word = start - 1;
        while (word > 0 && start - word < 16 && char.IsLetter(_text[word - 1]))
            word--;
        var text = _text.AsSpan(word, start - 1 - word);
        return text.Length > 0 && (TimeWords.Contains(text) || (Vocabulary.Find(text) & Hint.Month) != 0);
    }

    /// <summary>ul, al, pr: only with their full stop.</summary>
    private bool IsBareAbbreviation(int start, int end) =>
        (end >= view.Length || _text[end] != '.') && StreetWords.NeedsFullStop(_text.AsSpan(start, end - start));

    /// <summary>Ulmenweg 1, Alsenstr. 768.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ScanNumberRightBehind(int start, int end)
    {
        var position = end;
        while (position < view.Length && position - end < 2 && _text[position] is ' ' or '.')
            position++;
        var digits = position;
        while (digits < view.Length && digits - position < 6 && char.IsAsciiDigit(_text[digits]))
            digits++;
        if (position == end || digits - position is < 1 or > 5 || _text[position - 1] != ' ' || IsYear(position, digits))
            return;
        // NUMERICSTRING 18, but HAUPTSTRASSE 12.
        if (end - start > 1 && char.IsUpper(_text[start + 1]) && !StreetWords.EndsInCapitals(_text.AsSpan(start, end - start)))
            return;
        if (digits < view.Length && char.IsAsciiLetter(_text[digits]))
            digits++;
        sink.Add(view, SecretKind.StreetAddress, start, digits);
    }

    /// <summary>A capitalised word with a letter that English lacks, then a house number: Říční 623.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool AfterForeignName(int start, int end)
    {
        if (start < 4 || end - start > 4 || _text[start - 1] is not ' ' || !char.IsLetter(_text[start - 2]))
            return false;
        var (wordEnd, first, foreign) = (start - 1, -1, false);
        for (var words = 0; words < 3; words++)
        {
            var word = wordEnd;
            while (word > 0 && wordEnd - word < 32 && (char.IsLetter(_text[word - 1]) || _text[word - 1] == '-'))
            {
                word--;
                foreign |= _text[word] is >= (char)0xC0 and < (char)0x2E80;
            }

            if (word == wordEnd || !char.IsUpper(_text[word]) || (Vocabulary.Find(_text.AsSpan(word, wordEnd - word)) & (Hint.Month | Hint.Section)) != 0)
                break;
            first = word;
            if (word == 0 || _text[word - 1] != ' ')
                break;
            wordEnd = word - 1;
        }

        return foreign && first >= 0 && start - first >= 5 && !MonthFollows(end) && sink.Add(view, SecretKind.StreetAddress, first, end);
    }

    /// <summary>The word for a street comes first, then its name, then the number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ScanNumberBehind(int start, int end, Hint hint)
    {
        var named = (hint & Hint.StreetNumbered) != 0 && (char.IsUpper(_text[start]) || (start > 1 && _text[start - 1] == ' ' && char.IsUpper(WordStartBefore(start - 1))));
        var position = end;
        var limit = Math.Min(view.Length, end + MaxAhead);
        var words = 0;
        while (position < limit)
        {
            var character = _text[position];
            if (char.IsAsciiDigit(character))
            {
                var digits = position;
                while (digits < limit && char.IsAsciiDigit(_text[digits]))
                    digits++;
                if (digits - position > 5 || !named || (IsYear(position, digits) && (hint & Hint.StreetAfterName) != 0 && _text[position - 2] != ',') || char.IsLetter(_text[position - 1]) || (digits < view.Length && _text[digits] is ':' or '%'))
                    return;
                if (digits < view.Length && char.IsAsciiLetter(_text[digits]))
                    digits++;
                sink.Add(view, SecretKind.StreetAddress, start, digits);
                return;
            }

            if (char.IsLetter(character))
            {
                var word = position;
                while (word < limit && (char.IsLetter(_text[word]) || _text[word] is '\'' or '-'))
                    word++;
                var text = _text.AsSpan(position, word - position);
                if (named && words > 0 && text is "s" && word + 1 < limit && _text[word] == '/' && _text[word + 1] == 'n')
                {
                    sink.Add(view, SecretKind.StreetAddress, start, word + 2);
                    return;
                }

                var capital = char.IsUpper(character) || (character >= 128 && !char.IsLower(character));
                if ((!capital && !IsParticle(position, word)) || ++words > MaxNameWords || (Vocabulary.Find(text) & (Hint.Section | Hint.Month)) is not Hint.None && text is not ("no" or "No" or "nr" or "Nr"))
                    return;
                named |= capital;
                position = word;
                continue;
            }

            if (!(character is ' ' or ',' or '-' or '\'' or '°' || (character is ':' && position > 1 && (_text[position - 1] | 0x20) == 'o' && (_text[position - 2] | 0x20) == 'n') || (character == '.' && ((position == end && end - start <= 5) || position + 2 < limit && position > end && position - 1 >= 0 && char.IsLetter(_text[position - 1])))))
                return;
            position++;
        }
    }

    /// <summary>Сегодня 14 марта: a day.</summary>
    private bool MonthFollows(int end)
    {
        if (end + 1 >= view.Length || _text[end] is not (' ' or '.'))
            return false;
        var word = _text[end] == '.' && _text[end + 1] == ' ' ? end + 2 : end + 1;
        var stop = word;
        while (stop < view.Length && stop - word < 16 && char.IsLetter(_text[stop]))
            stop++;
        return (Vocabulary.Find(_text.AsSpan(word, stop - word)) & Hint.Month) != 0;
    }

    private char WordStartBefore(int end)
    {
        var start = end;
        while (start > 0 && end - start < 24 && char.IsLetter(_text[start - 1]))
            start--;
        return _text[start];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool NameFollows(int end, out int nameEnd)
    {
        nameEnd = end;
        var limit = Math.Min(view.Length, end + 40);
        for (var words = 0; words < 4 && nameEnd < limit; words++)
        {
            while (nameEnd < limit && _text[nameEnd] is ' ' or '.' or '\'')
                nameEnd++;
            var word = nameEnd;
            while (nameEnd < limit && char.IsLetter(_text[nameEnd]))
                nameEnd++;
            if (nameEnd == word)
                return false;
            if (char.IsUpper(_text[word]))
                return true;
            if (!IsParticle(word, nameEnd))
                return false;
        }

        return false;
    }

    private bool IsParticle(int start, int end) => end - start <= 6 && Particles.Contains(_text.AsSpan(start, end - start));

    private bool OnlySpaces(int from, int to)
    {
        for (var index = from; index < to; index++)
        {
            if (_text[index] is not (' ' or ',' or '.' or '-' or '\''))
                return false;
        }

        return to > from || from == to && _text[from] >= 0x2E80 || (to == from && from > 0 && _text[from - 1] >= 0x2E80);
    }

    private bool IsYear(int start, int end) =>
        end - start == 4 && ((_text[start] == '1' && _text[start + 1] is '0' or '5' or '6' or '7' or '8' or '9') || (_text[start] == '2' && _text[start + 1] == '0'));
}
