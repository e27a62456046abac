using System.Runtime.CompilerServices;
using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

/// <summary>
/// All that is a number to a person (card, phone, social security and national identity, network address, date) is
/// judged on one <see cref="DigitCluster"/>.
/// </summary>
internal sealed class NumberScanner
{
    /// <summary>Digits of the shortest number that is looked for.</summary>
    private const int LeastNumber = 5;

    private static readonly WordTable NumberWords = WordTable.Of(["no", "nr", "n", "number", "num", "nummer", "numéro", "número", "numero"]);

    private readonly ScanView _view;
    private readonly FindingSink _sink;
    private readonly HintTrail _hints;
    private readonly char[] _text;
    private readonly DigitCluster _cluster;
    private readonly CardScanner _cards;
    private readonly PhoneShape _phones;

    public NumberScanner(ScanView view, FindingSink sink, HintTrail hints)
    {
        (_view, _sink, _hints, _text) = (view, sink, hints, view.Text);
        _cluster = new DigitCluster(view);
        _cards = new CardScanner(view, sink, _cluster);
        _phones = new PhoneShape(view, _cluster);
    }

    /// <summary>Judges the cluster that starts at a digit.</summary>
    /// <returns>Where to go on.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public int Scan(int start)
    {
        if (IsShort(start, out var end))
            return end;
        _cluster.Collect(start);
        end = _cluster.End;
        if (!Judge(start))
            ScanPieces();
        return end;
    }

    /// <summary>At most four digits and nothing that joins them to others: none of the rules wants them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool IsShort(int start, out int end)
    {
        end = start;
        while (end < _view.Length && char.IsAsciiDigit(_text[end]))
        {
            if (++end - start > LeastNumber - 1)
                return false;
        }

        var next = end;
        while (next < _view.Length && next - end < DigitCluster.MaxSeparator && DigitCluster.IsSeparator(_text[next]))
            next++;
        return next == end || next >= _view.Length || !char.IsAsciiDigit(_text[next]);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool Judge(int start)
    {
        var (count, total, end) = (_cluster.Count, _cluster.Total, _cluster.End);
        var first = start;
        while (first > 0 && start - first < 2 && _text[first - 1] is '+' or '(' && first > 0)
            first--;
        var before = first > 0 ? _text[first - 1] : ' ';
        var after = end < _view.Length ? _text[end] : ' ';
        // connect(185.199.108.153): the argument of a call.
        var isArgument = char.IsAsciiLetter(before) && _text[first] == '(' && first == start - 1;
        if (isArgument)
            (first, before) = (start, '(');
        if (char.IsAsciiLetter(before) || (char.IsAsciiLetter(after) && count == 1))
            return TryHinted(first, end, total);

        if (count >= 4 && IsNetworkAddress(before, first) && _sink.Add(_view, SecretKind.NetworkAddress, start, _cluster.Groups[3].End))
            return true;
        if (_cards.TryCards())
            return true;
        // 1,234,567: what a comma joins is an amount.
        if ((before == ',' && first > 1 && char.IsAsciiDigit(_text[first - 2])) || (after == ',' && end + 1 < _view.Length && char.IsAsciiDigit(_text[end + 1])))
            return true;
        if (count == 1 && !_hints.Near(Hint.Birth, first, 60) && TryHinted(first, end, total))
            return true;
        if (IsDate())
        {
            if (IsRecent())
                _hints.SawDate(first, end);
            if (IsRecent() && (_hints.NearInSentence(Hint.Birth, first, 60) || IsWholeLine(first, end)))
                _sink.Add(_view, SecretKind.DateOfBirth, first, end);
            return true;
        }

        if (TryHinted(first, end, total))
            return true;
        if (count == 1 && total == 8 && after == ' ' && end + 1 < _view.Length && char.IsAsciiLetterUpper(_text[end + 1]) && (end + 2 == _view.Length || !char.IsLetterOrDigit(_text[end + 2]))
            && NationalNumbers.IsOne(_text.AsSpan(start, 10)) && _sink.Add(_view, SecretKind.NationalId, start, end + 2))
            return true;
        if (NationalNumbers.IsOne(_cluster) && _sink.Add(_view, SecretKind.NationalId, start, end))
            return true;
        if (_text[first] != '+' && (_hints.Near(Hint.Book, first, 12) || IsItem(first)))
            return true;
        if (before is '$' or '£' or '€' or '¥')
            return true;
        if (IsSsn() && _sink.Add(_view, SecretKind.UsSsn, start, end))
            return true;
        return (!isArgument || _cluster.Digits[0] == 0) && _phones.Fits(first) && _sink.Add(_view, SecretKind.Phone, first, end);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool TryHinted(int first, int end, int total)
    {
        // A version, a measure or a ratio is no number of a document: 552.44, 180/120.
        var measured = _cluster.Count is 2 or 3 && _cluster.Total < 8 && _cluster.Gap(1) is "." or "/";
        foreach (var (hint, least, most, distance) in Hinted)
        {
            if (total >= least && total <= most && !(measured && least == LeastNumber) && _hints.Near(hint, first, distance) && _hints.InParagraph(hint, first) && _sink.Add(_view, Vocabulary.KindOf(hint), first, end))
                return true;
        }

        return false;
    }

    private static readonly (Hint Hint, int Least, int Most, int Distance)[] Hinted =
    [
        (Hint.National, 8, 18, 32), (Hint.Ssn, 9, 11, 40), (Hint.Passport, LeastNumber, 12, 40), (Hint.Licence, LeastNumber, 16, 40), (Hint.Medical, LeastNumber, 16, 40),
        (Hint.Phone, 6, 17, 40), (Hint.Card, 12, 19, 40), (Hint.Bank, 8, 30, 40),
    ];

    private bool IsNetworkAddress(char before, int first)
    {
        // 10.0.0.17/24 may follow, 10.0.0.17.4 may not.
        if (_cluster.Count > 4 && _cluster.Gap(4) is ".")
            return false;
        for (var index = 0; index < 4; index++)
        {
            if (_cluster.Groups[index].Length > 3 || _cluster.Value(index) > 255 || (index > 0 && !_cluster.Gap(index).Contains('.')))
                return false;
        }

        // linux-2.6.8.1, step 12.1.1.4: versions and sections. 0.0.0.0 and 127.0.0.1 are every machine's.
        var version = (before is '-' or '_' && first > 1 && char.IsAsciiLetter(_text[first - 2])) || IsVersion(first) || (_hints.Near(Hint.Section, first, 3) && _cluster.Total <= 8 && _cluster.Count == 4);
        return !version && _cluster.Value(0) != 0 && !(_cluster.Value(0) == 127 && _cluster.Value(1) == 0 && _cluster.Value(2) == 0);
    }

    /// <summary>AssemblyVersion("1.0.0.0"), file_version=4.3.2.1.</summary>
    private bool IsVersion(int first)
    {
        var before = _text.AsSpan(Math.Max(0, first - 12), Math.Min(12, first)).TrimEnd("(\"'=: ");
        return _cluster.Total <= 8 && before.EndsWith("version", StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>Order no. 7741-2290-11: what the number counts stands before it.</summary>
    private bool IsItem(int first)
    {
        if (!_hints.Near(Hint.Item, first, 12))
            return false;
        var between = _text.AsSpan(_hints.End(Hint.Item)..first);
        return between.ContainsAny('#', ':') || NumberWords.Contains(between.Trim(" .°-"));
    }

    private bool IsSsn()
    {
        if (_cluster.Total != 9 || _cluster.Count > 4 || !Checks.IsSsn(_cluster.Digits))
            return false;
        Span<int> lengths = stackalloc int[4];
        return _cluster.Join(0, _cluster.Count - 1, lengths, out var separator, out _) == 3 && lengths is [3, 2, 4, ..] && separator is " " or "-" or "." or "/" or "_" or "·" or " - ";
    }

    private bool IsCompactDate()
    {
        var value = _cluster.Value(0);
        return (value / 10000 is >= 1900 and <= 2100 && value / 100 % 100 is >= 1 and <= 12 && value % 100 is >= 1 and <= 31)
            || (value % 10000 is >= 1900 and <= 2100 && value / 10000 % 100 is >= 1 and <= 31 && value / 1000000 is >= 1 and <= 31);
    }

    private bool IsDate() => _cluster.Count == 1 ? _cluster.Total == 8 && IsCompactDate() : _cluster.Count == 3 && _cluster.IsDateAt(0);

    /// <summary>Nobody born before 1900 has a date of birth to keep private.</summary>
    private bool IsRecent()
    {
        var years = 0;
        foreach (var group in _cluster.Groups)
        {
            if (group.Length != 4)
                continue;
            if (_text[group.Start] == '2' || (_text[group.Start] == '1' && _text[group.Start + 1] == '9'))
                return true;
            years++;
        }

        return years == 0;
    }

    private bool IsWholeLine(int first, int end)
    {
        while (first > 0 && _text[first - 1] is ' ' or '\t' && first > 0)
            first--;
        while (end < _view.Length && _text[end] is ' ' or '\t' or '\r')
            end++;
        return (first == 0 || _text[first - 1] == '\n') && (end == _view.Length || _text[end] == '\n');
    }

    /// <summary>Judges what stands between spaces on its own when the whole makes no sense, then what stands between lines.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ScanPieces()
    {
        if (_cluster.Count < 2)
            return;
        var all = _cluster.Groups.ToArray();
        if (!_cluster.HasBreaks || !ScanPieces(all, lines: true))
            ScanPieces(all, lines: false);
    }

    /// <returns>Whether any piece of more than one group was a finding or a date.</returns>
    private bool ScanPieces(DigitGroup[] all, bool lines)
    {
        var (start, found) = (0, false);
        for (var index = 1; index <= all.Length; index++)
        {
            var cut = index == all.Length || IsCut(all[index - 1].End, all[index].Start, lines);
            if (!cut)
                continue;
            if (index - start < all.Length && (index - start > 1 || all[start].Length >= LeastNumber))
            {
                _cluster.Take(all.AsSpan(start, index - start));
                found |= Judge(_cluster.Start);
            }

            start = index;
        }

        return found;
    }

    private bool IsCut(int from, int to, bool lines)
    {
        for (var index = from; index < to; index++)
        {
            if (_text[index] == '\n' || (!lines && _text[index] is ' ' or '\t'))
                return true;
        }

        return false;
    }
}
