using System.Buffers;
using System.Runtime.CompilerServices;

namespace Moebius.KvCache.Detection;

/// <summary>
/// Numbers in words, written as digits: "five five five, one two" becomes 55512, and "dot", "dash", "at" between them
/// become their signs. Only runs of at least two such words, and single ones near them, are rewritten.
/// </summary>
internal static class SpokenNumbers
{
    private const int LeastRun = 2;
    private const int Reach = 10;
    private const int MaxWord = 12;
    private const int MaxGap = 24;
    private const int MaxSigns = 3;

    private static readonly string[] Values = [.. Enumerable.Range(0, 20).Select(value => value.ToString(System.Globalization.CultureInfo.InvariantCulture)), .. ".-/+: _@".Select(sign => sign.ToString())];
    private const int FirstSign = 20;
    private const int Repeat = 100;

    // One more than the index of the word's value; words that repeat the next digit have Repeat plus how often.
    private static readonly WordTable Vocabulary = Build(out IdeographicStarts);

    private static readonly SearchValues<char> IdeographicStarts;

    /// <summary>The rewritten view, or null when the text has nothing to rewrite.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static ScanView? Rewrite(ScanView view)
    {
        var words = Words(view);
        if (words.Count == 0)
            return null;

        var text = new RewrittenText(view);
        for (var index = 0; index < words.Count; index++)
        {
            var (start, end, value) = words[index];
            // What stands between two words of a run goes, unless it is a sign that means something.
            if (index > 0 && start - words[index - 1].End <= MaxGap && Connects(view, words[index - 1].End, start))
            {
                text.MoveTo(words[index - 1].End, start);
                for (var position = words[index - 1].End; position < start; position++)
                {
                    if (view.Text[position] is '.' or '-' or '@' or ':' or '/' or '+' || char.IsAsciiDigit(view.Text[position]))
                        text.Add(view.Text[position], position);
                    else if (view.Text[position] == ',')
                        text.Add(' ', position);
                }
            }

            text.MoveTo(start, end);
            foreach (var character in value)
                text.Add(character, start, end - 1);
        }

        return text.ToView();
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static List<(int Start, int End, string Value)> Words(ScanView view)
    {
        var accepted = new List<(int Start, int End, string Value)>();
        var run = new List<(int Start, int End, string Value)>();
        var digits = 0;
        var repeat = 1;
        var position = 0;
        while (position < view.Length)
        {
            var start = position;
            if (!Letters.IsLetter(view.Text[position]))
            {
                position++;
                continue;
            }

            // Nearly all ideographs begin no number.
            if (view.Text[position] >= Letters.FirstIdeograph && !IdeographicStarts.Contains(view.Text[position]))
            {
                Close();
                position++;
                continue;
            }

            if (view.Text[position] >= 0x2E80)
                position += IdeographicLength(view, position);
            else
                while (position < view.Length && (char.IsAsciiLetter(view.Text[position]) || (view.Text[position] is (>= (char)128 and < (char)0x2E80) or '\'' && IsPartOfWord(view, position))))
                    position++;

            var length = position - start;
            string? value = null;
            var isDigit = false;
            // Of single letters only o is a word here.
            if (length <= MaxWord && (length > 1 || view.Text[start] >= 128 || (view.Text[start] | 0x20) == 'o'))
            {
                var found = Vocabulary.Find(view.Text.AsSpan(start, length));
                if (found > Repeat)
                {
                    (value, repeat) = ("", found - Repeat);
                }
                else if (found > FirstSign)
                {
                    if (run.Count > 0 || NextTo(view, start, position))
                        value = Values[found - 1];
                }
                else if (found > 0 && (length > 1 || run.Count > 0 || view.Text[start] >= 0x2E80))
                {
                    (value, isDigit) = (repeat == 1 ? Values[found - 1] : string.Concat(Enumerable.Repeat(Values[found - 1], repeat)), true);
                    repeat = 1;
                }
            }

            var adjacent = run.Count == 0 || Connects(view, run[^1].End, start);
            if (value is null || !adjacent)
            {
                Close();
                if (value is not null && isDigit)
                    Add(start, position, value, isDigit);
                continue;
            }

            Add(start, position, value, isDigit);
        }

        Close();
        return accepted;

        void Add(int start, int end, string value, bool isDigit)
        {
            run.Add((start, end, value));
            digits += isDigit ? 1 : 0;
        }

        void Close()
        {
            repeat = 1;
            if (run.Count == 0)
                return;
            if (!IsCounting(run) && (digits >= LeastRun || (digits > 0 && accepted.Count > 0 && run[0].Start - accepted[^1].End <= Reach)))
                accepted.AddRange(run);
            run.Clear();
            digits = 0;
        }
    }

    /// <summary>One, two, three, four: nobody's number.</summary>
    private static bool IsCounting(List<(int Start, int End, string Value)> run)
    {
        for (var index = 1; index < run.Count; index++)
        {
            if (!int.TryParse(run[index].Value, out var value) || !int.TryParse(run[index - 1].Value, out var previous) || value != previous + 1)
                return false;
        }

        return run.Count >= 3;
    }

    /// <summary>A letter that is not Latin, a mark on one, or an apostrophe between two letters that are not Latin: п'ять.</summary>
    private static bool IsPartOfWord(ScanView view, int position)
    {
        var character = view.Text[position];
        if (character < 128)
            return character == '\'' && (position > 0 && view.Text[position - 1] >= 0x400 && position + 1 < view.Length && char.IsLetter(view.Text[position + 1]));
        return char.IsLetter(character) || char.GetUnicodeCategory(character) is System.Globalization.UnicodeCategory.SpacingCombiningMark or System.Globalization.UnicodeCategory.NonSpacingMark;
    }

    /// <summary>Kana and Hangul have words of two or three characters.</summary>
    private static int IdeographicLength(ScanView view, int position)
    {
        if (view.Text[position] is not ((>= '\u3040' and <= '\u30FF') or (>= '\uAC00' and <= '\uD7AF')))
            return 1;
        for (var length = Math.Min(3, view.Length - position); length > 1; length--)
        {
            if (Vocabulary.Contains(view.Text.AsSpan(position, length)))
                return length;
        }

        return 1;
    }

    private static bool NextTo(ScanView view, int start, int end) =>
        (start >= 2 && char.IsAsciiDigit(view.Text[start - 2])) || (end + 1 < view.Length && char.IsAsciiDigit(view.Text[end + 1]));

    /// <summary>Only a few signs stand between, or digits with as few signs between them: "four 8 four 5 6 0 nine".</summary>
    private static bool Connects(ScanView view, int from, int to)
    {
        if (to - from > MaxGap)
            return false;
        var signs = 0;
        for (var index = from; index < to; index++)
        {
            if (char.IsAsciiDigit(view.Text[index]))
                signs = 0;
            else if (++signs > MaxSigns || view.Text[index] is not (' ' or '-' or ',' or '.' or '\n' or '_' or '/' or '·' or '@' or ':' or '(' or ')' or '+'))
                return false;
        }

        return true;
    }

    private static WordTable Build(out SearchValues<char> ideographicStarts)
    {
        var digits = new Dictionary<string, int>(StringComparer.Ordinal);
        string[] lists =
        [
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen",
            "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
            "zéro un deux trois quatre cinq six sept huit neuf dix onze douze",
            "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce",
            "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici",
            "zero um dois três quatro cinco seis sete oito nove dez onze doze",
            "nul een twee drie vier vijf zes zeven acht negen tien elf twaalf",
            "noll ett två tre fyra fem sex sju åtta nio tio elva tolv",
            "zero jeden dwa trzy cztery pięć sześć siedem osiem dziewięć",
            "ноль один два три четыре пять шесть семь восемь девять",
            "sıfır bir iki üç dört beş altı yedi sekiz dokuz",
            "nula jedna dva tři čtyři pět šest sedm osm devět",
            "nulla egy kettő három négy öt hat hét nyolc kilenc",
            "nolla yksi kaksi kolme neljä viisi kuusi seitsemän kahdeksan yhdeksän",
            "нуль один два три чотири п'ять шість сім вісім дев'ять",
            "нула едно две три четири пет шест седем осем девет",
            "μηδέν ένα δύο τρία τέσσερα πέντε έξι επτά οκτώ εννέα",
            "zero unu doi trei patru cinci șase șapte opt nouă",
            "nul en to tre fire fem seks syv otte ni",
            "صفر واحد اثنان ثلاثة أربعة خمسة ستة سبعة ثمانية تسعة",
            "صفر یک دو سه چهار پنج شش هفت هشت نه",
            "אפס אחת שתיים שלוש ארבע חמש שש שבע שמונה תשע",
            "शून्य एक दो तीन चार पांच छह सात आठ नौ",
            "ゼロ いち に さん よん ご ろく なな はち きゅう",
            "れい イチ ニ サン ヨン ゴ ロク ナナ ハチ キュウ",
            "〇 一 二 三 四 五 六 七 八 九",
            "零 壹 贰 叁 肆 伍 陆 柒 捌 玖",
            "영 일 이 삼 사 오 육 칠 팔 구",
            "공 하나 둘 셋 넷 다섯 여섯 일곱 여덟 아홉",
        ];
        foreach (var list in lists)
        {
            foreach (var (word, value) in list.Split(' ').Select((word, value) => (word, value)))
            {
                foreach (var form in WordTable.Forms([word]))
                    digits.TryAdd(form, value + 1);
            }
        }

        (string Word, int Value)[] more =
        [
            ("oh", 1), ("o", 1), ("nought", 1), ("naught", 1), ("nil", 1), ("eine", 2), ("zwo", 3), ("één", 2), ("uma", 2), ("duas", 3), ("meia", 7),
            ("twenty", 3), ("thirty", 4), ("forty", 5), ("fifty", 6), ("sixty", 7), ("seventy", 8), ("eighty", 9), ("ninety", 10),
            ("dot", 21), ("point", 21), ("punkt", 21), ("punto", 21), ("ponto", 21), ("dash", 22), ("hyphen", 22), ("minus", 22), ("slash", 23), ("plus", 24),
            ("colon", 25), ("space", 26), ("underscore", 27), ("at", 28), ("double", Repeat + 2), ("triple", Repeat + 3),
        ];
        foreach (var (word, value) in more)
        {
            foreach (var form in WordTable.Forms([word]))
                digits.TryAdd(form, value);
        }

        ideographicStarts = SearchValues.Create([.. digits.Keys.Select(static word => word[0]).Where(static character => character >= Letters.FirstIdeograph).Distinct()]);
        return new WordTable(digits);
    }
}
