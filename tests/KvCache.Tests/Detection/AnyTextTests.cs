using System.Text;
using Moebius.Crds.V1Alpha1;
using Moebius.KvCache.Detection;
using Moebius.KvCache.Detection.Classifier;
using Moebius.KvCache.Detection.Classifier.BuiltIn;

namespace Moebius.KvCache.Tests.Detection;

/// <summary>Whatever a prompt holds: the rules and the classifier read it, and what they find lies in it, in order.</summary>
public sealed class AnyTextTests
{
    private static readonly Detector Detector = Detector.Create(new RuleSpec { Custom = [new CustomRule { Name = "own", Pattern = "[a-z]{3,}[0-9]|é" }] }, "rules");
    private static readonly BuiltInClassifier Classifier = new(ClassifierModel.Load());

    // What the scanners look out for, and what ends, joins or disguises it.
    private static readonly string[] Fragments =
    [
        " ", "\n", "\r\n", "\t", ".", ",", ":", ";", "-", "_", "/", "\\", "|", "(", ")", "[", "]", "{", "}", "<", ">", "@", "#", "%", "&", "*", "+", "=", "'", "\"", "`", "°", "$", "!", "?", "~", "^", "\0", "\u001b", "·",
        "0", "1", "4", "9", "12", "199", "1234", "1985", "4111", "123456", "4111111111111111", "1e5", "0x", "%41", "%C3%A4", "%C3", "\\u0041", "\\x41", "\\n", "&#64;", "&#x40;", "&#",
        "a", "A", "x", "s", "O", "l", "I", "Z", "at", "dot", "[dot]", "(at)", "com", "jane", "DE", "GB", "FR76", "eyJ", "sk-", "ghp_", "AKIA", "SG", "sha256-", "pat", "bc1", "-----BEGIN", " PRIVATE KEY", "-----END", "://", "hooks.slack.com/services/",
        "Baker", "Street", "str", "weg", "rue", "Am", "ul.", "PO Box", "St", "no", "nr", "password", "key", "api_key", "token", "secret", "bearer", "basic", "curl", " -u ", "mysql", "sshpass", " -p ", "identified", " by '", "PIN", "pass", "mot de passe", "is", "Token",
        "phone", "born", "dob", "March", "May", "passport", "licence", "mrn", "address", "lives at ", "ssn", "card", "iban", "plate", "wallet", "gps", "order", "isbn", "version", "page", "hetu", "nino", "ip", "mac",
        "one", "two", "five", "oh", "double", "dash", "plus", "п'ять", "〇", "一", "いち", "공", "하나", "住所", "東京都", "区", "号", "丁目", "로", "테헤란로", "동", "年", "月", "密码", "как", "ул", "улица", "Říční", "ß", "é", "𝟒", "𝐀", "😀", "\uD83D", "\uDE00", "１", "＠", "．", "\u200B", "\u00AD", "\uFE0F", "٠", "९", "\uFFFD", "\u0301", "ﷺ", "ქ",
    ];

    [Fact]
    public void A_word_that_announces_a_key_may_stand_in_a_digest() => Assert.NotEmpty(Detector.Scan("Hello=pass/iban12passpassibanpass=12"));

    [Property(MaxTest = 2000)]
    public void Findings_lie_in_the_text_in_order(AnyInt seed)
    {
        var random = new Random(seed.Item);
        // Of a few kinds again and again, they meet more often.
        var few = Enumerable.Range(0, random.Next(2, 12)).Select(_ => Any(random)).ToArray();
        var builder = new StringBuilder();
        for (var pieces = random.Next(1, 60); pieces > 0; pieces--)
            builder.Append(random.Next(4) == 0 ? Any(random) : few[random.Next(few.Length)]);
        var text = builder.ToString();

        var last = 0;
        foreach (var finding in Detector.Scan(text))
        {
            Assert.InRange(finding.Start, last, text.Length - 1);
            Assert.InRange(finding.End, finding.Start + 1, text.Length);
            last = finding.Start;
        }

        var end = 0;
        foreach (var passage in Passages.Of(text))
        {
            Assert.InRange(passage.Start, end, text.Length - 1);
            Assert.InRange(passage.End, passage.Start + 1, Math.Min(text.Length, passage.Start + Passages.MaxLength));
            end = passage.End;
            foreach (var span in Classifier.Score(text[passage.Start..passage.End]).Spans)
            {
                Assert.InRange(span.Start, 0, passage.End - passage.Start - 1);
                Assert.InRange(span.End, span.Start + 1, passage.End - passage.Start);
            }
        }
    }

    private static string Any(Random random) => Fragments[random.Next(Fragments.Length)];
}
