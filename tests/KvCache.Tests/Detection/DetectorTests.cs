using System.Globalization;
using Bogus;
using Moebius.Crds;
using Moebius.Crds.Host;
using Moebius.Crds.V1Alpha1;
using Moebius.KvCache.Detection;

namespace Moebius.KvCache.Tests.Detection;

public sealed class DetectorTests
{
    private static readonly Detector Detector = Detector.Create(new RuleSpec(), "rules");

    [Fact]
    public void Nearly_every_secret_of_fifteen_locales_is_found()
    {
        var missed = SecretCorpus.Generate(40)
            .Where(sample => Detector.Scan(Fill(sample.Template, sample.Secret)).Count == 0)
            .GroupBy(sample => sample.Kind)
            .ToDictionary(group => group.Key, group => group.ToArray());
        var total = 40 * SecretCorpus.Locales.Length * 16;
        Assert.True(
            missed.Values.Sum(samples => samples.Length) <= total / 100,
            string.Join('\n', missed.SelectMany(kind => kind.Value.Take(5)).Select(sample => $"{sample.Kind}: {sample.Secret}")));
    }

    [Fact]
    public void Nearly_every_disguised_secret_is_found()
    {
        var random = new Randomizer(11);
        var samples = SecretCorpus.Generate(30)
            .Select(sample => (sample.Kind, sample.Template, Secret: SecretCorpus.Disguise(sample.Kind, sample.Secret, random)))
            .Where(sample => sample.Secret is not null)
            .ToArray();
        var missed = samples.Where(sample => Detector.Scan(Fill(sample.Template, sample.Secret!)).Count == 0).ToArray();
        Assert.True(samples.Length > 2000);
        Assert.True(missed.Length <= samples.Length / 100, string.Join('\n', missed.Take(20).Select(sample => $"{sample.Kind}: {sample.Secret}")));
    }

    [Theory]
    [InlineData("austen.txt")]
    [InlineData("kjv.txt")]
    public void Prose_is_left_alone(string file)
    {
        const int block = 64;
        var text = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Data", file));
        var touched = Detector.Scan(text).SelectMany(finding => Enumerable.Range(finding.Start / block, ((finding.End - 1) / block) - (finding.Start / block) + 1)).Distinct().Count();
        Assert.True(touched * 1000 <= text.Length / block, $"{touched} of {text.Length / block} blocks");
    }

    [Theory]
    [InlineData("write to jane.doe@example.com now", SecretKind.Email, "jane.doe@example.com")]
    [InlineData("jane (at) example (dot) com", SecretKind.Email, "jane (at) example (dot) com")]
    [InlineData("card 4111 1111 1111 1111 ok", SecretKind.CreditCard, "4111 1111 1111 1111")]
    [InlineData("four one one one one one one one one one one one one one one one", SecretKind.CreditCard, "four one one one one one one one one one one one one one one one")]
    [InlineData("DE89 3704 0044 0532 0130 00", SecretKind.Iban, "DE89 3704 0044 0532 0130 00")]
    [InlineData("ring +44 20 7946 0958.", SecretKind.Phone, "+44 20 7946 0958")]
    [InlineData("my ssn: 078-05-1120", SecretKind.UsSsn, "078-05-1120")]
    [InlineData("NI QQ is not, AB 12 34 56 C is", SecretKind.UkNino, "AB 12 34 56 C")]
    [InlineData("host 10.0.0.17 up", SecretKind.NetworkAddress, "10.0.0.17")]
    [InlineData("host fe80::1ff:fe23:4567:890a up", SecretKind.NetworkAddress, "fe80::1ff:fe23:4567:890a")]
    [InlineData("mac 00:1B:44:11:3A:B7", SecretKind.NetworkAddress, "00:1B:44:11:3A:B7")]
    [InlineData("MAC:00:1B:44:11:3A:B7", SecretKind.NetworkAddress, "00:1B:44:11:3A:B7")]
    [InlineData("[IPv6:2a02:8109:9b40:1c3f:d5e1:2b4a:77f0:1a2b]", SecretKind.NetworkAddress, "2a02:8109:9b40:1c3f:d5e1:2b4a:77f0:1a2b")]
    [InlineData("Login\nanna\nPassword\ntulpe1988\n", SecretKind.Password, "Password\ntulpe1988")]
    [InlineData("at 221b Baker Street in London", SecretKind.StreetAddress, "221b Baker Street")]
    [InlineData("wohnt Musterstraße 12 in Köln", SecretKind.StreetAddress, "Musterstraße 12")]
    [InlineData("8 rue Laffitte à Paris", SecretKind.StreetAddress, "8 rue Laffitte")]
    [InlineData("she was born on 14 March 1985", SecretKind.DateOfBirth, "14 March 1985")]
    [InlineData("1985-03-14 (date of birth)", SecretKind.DateOfBirth, "1985-03-14")]
    [InlineData("48.85837, 2.29448", SecretKind.GpsPosition, "48.85837, 2.29448")]
    [InlineData("password = hunter2!", SecretKind.Password, "password = hunter2!")]
    [InlineData("Пароль: qwerty12", SecretKind.Password, "Пароль: qwerty12")]
    [InlineData("mot de passe : hunter6", SecretKind.Password, "passe : hunter6")]
    [InlineData("api key 8f434346648f6b96df89dda901c5176b", SecretKind.ApiKey, "8f434346648f6b96df89dda901c5176b")]
    [InlineData("It's 2 4 : 8 0 : 9 1 : d c : 4 e : 8 8!", SecretKind.NetworkAddress, "2 4 : 8 0 : 9 1 : d c : 4 e : 8 8")]
    [InlineData("this one, four one one one one one one one one one one one one one one one, is mine", SecretKind.CreditCard, "four one one one one one one one one one one one one one one one")]
    [InlineData("Authorization: Bearer abc123def456ghi", SecretKind.AuthorizationHeader, "Bearer abc123def456ghi")]
    [InlineData("amqp://svc:s3cret@mq:5672/v", SecretKind.ConnectionString, "amqp://svc:s3cret@mq:5672")]
    [InlineData("patient MRN 00482913", SecretKind.MedicalRecord, "00482913")]
    [InlineData("passport no. C01X00T47", SecretKind.Passport, "C01X00T47")]
    [InlineData("licence MORGA657054SM9IJ", SecretKind.DrivingLicence, "MORGA657054SM9IJ")]
    [InlineData("henkilötunnus on 131052-308T", SecretKind.NationalId, "131052-308T")]
    [InlineData("she gave 010203A9013 at the desk", SecretKind.NationalId, "010203A9013")]
    [InlineData("he gave 150710Y234E at the desk", SecretKind.NationalId, "150710Y234E")]
    [InlineData("0x71C7656EC7ab88b098defB751B7401B5f6d8976F", SecretKind.CryptoWallet, "0x71C7656EC7ab88b098defB751B7401B5f6d8976F")]
    public void A_finding_has_its_kind_and_its_characters(string text, SecretKind kind, string expected)
    {
        var finding = Assert.Single(Detector.Scan(text), finding => finding.Kind == kind.ToString());
        Assert.Equal(expected, text[finding.Start..finding.End]);
    }

    [Theory]
    [InlineData("order no. +44 20 7946 0958")]
    [InlineData("to order, call 020 7946 0958")]
    [InlineData("version 2 runs on 93.184.216.34")]
    [InlineData("connect(93.184.216.34)")]
    [InlineData("pay(4111 1111 1111 1111)")]
    [InlineData("ring(020 7946 0958)")]
    [InlineData("the car is at 48.8584, 2.2945, 35.0")]
    public void A_word_beside_it_does_not_hide_a_secret(string text) => Assert.NotEmpty(Detector.Scan(text));

    [Theory]
    [InlineData("In 1805 Nelson won; 1914-1918 and 1939–1945 were wars.")]
    [InlineData("It cost $1,234,567.89, or 12,345,678 in all.")]
    [InlineData("Chapter 12, verse 3:16, see Psalm 23 and Route 66.")]
    [InlineData("The bearer of bad news knows the basic principles of a secret: silence.")]
    [InlineData("And it came to pass: the people passed over, one by one, two by two.")]
    [InlineData("std::vector<int> values = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};")]
    [InlineData("Version 1.2.3 of 2024-05-06 fixes issue 12345.")]
    [InlineData("He looked at the dot on the map, and it is in town.")]
    [InlineData("Pi is 3.14159265358979, e is 2.71828.")]
    [InlineData("sha256:8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4 and 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12")]
    [InlineData("id 3e83bbc4-cc1e-c20a-fd58-d649d04ae335 has 12 rows")]
    [InlineData("V1PodDisruptionBudget and V1SecretKeySelector are types; listen on 0.0.0.0 or 127.0.0.1")]
    [InlineData("| 302.5 [252.3, 350.6] | 12.63 12.97 10.47 | kernel 6.18.44.470 | 16777216 bytes | 100000000 |")]
    [InlineData("Order no. 7741-2290-11, invoice #2024-081-5521, commande n° 20240118-22")]
    [InlineData("UPC 036000291452, batch 0240-1187-33, catalogue no. 212 664 7665")]
    [InlineData("gray = vec3(0.299, 0.587, 0.114); rows 0.213, 0.715, 0.072")]
    [InlineData("[assembly: AssemblyFileVersion(\"4.3.2.1\")]")]
    [InlineData("fn password(&self) -> &str { &self.password }")]
    [InlineData("pi is 3 1 4 1 5 9 2 6 5 3 5 8 9 7 9, the box 10 20 300 400, the section 12.34.56.78.9")]
    [InlineData("matrix(1 0 0 1 100 200) seed(3735928559) sleep(86400000)")]
    [InlineData("We offer\nPassword\nOAuth2\nKerberos")]
    public void What_only_looks_like_a_secret_is_none(string text) => Assert.Empty(Detector.Scan(text));

    [Theory]
    [InlineData("bXkgY2FyZCBpcyA0MTExIDExMTEgMTExMSAxMTEx", SecretKind.CreditCard)]
    [InlineData("34313131203131313120313131312031313131", SecretKind.CreditCard)]
    [InlineData("6a616e652e726f65406578616d706c652e6f7267", SecretKind.Email)]
    [InlineData("\\u0034\\u0031\\u0031\\u0031 1111 1111 \\x31111", SecretKind.CreditCard)]
    [InlineData("%34%31%31%31%C2%A01111%C2%A01111%C2%A01111", SecretKind.CreditCard)]
    [InlineData("&#x34;111&#160;1111 1111 1111", SecretKind.CreditCard)]
    public void What_is_encoded_is_read(string text, SecretKind kind)
    {
        // Base64 may look like a key as it is.
        var detector = Detector.Create(new RuleSpec { Disabled = [SecretKind.ApiKey, SecretKind.Password, SecretKind.CryptoWallet] }, "rules");
        Assert.Contains(detector.Scan($"Note {text} please"), finding => finding.Kind == kind.ToString() && finding.Start is >= 5 and < 24 && finding.End <= 5 + text.Length);
    }

    [Theory]
    [InlineData("4️⃣1️⃣1️⃣1️⃣ 1️⃣1️⃣1️⃣1️⃣ 1111 1111", SecretKind.CreditCard)]
    [InlineData("41\U000E007F11 1111\U000E0020 11\U000E004111 1111", SecretKind.CreditCard)]
    [InlineData("jane\U000E0100@exa\U000E01EFmple.org", SecretKind.Email)]
    [InlineData("ja\u180Bne@exa\u180Dmple\u180F.org", SecretKind.Email)]
    [InlineData("4\u20D01\u20F011 1\u1AB0111 1\u1DC0111 1\uFE20111", SecretKind.CreditCard)]
    [InlineData("ring\u0001+44\u001F20\u007F7946\u000B0958", SecretKind.Phone)]
    public void What_has_no_width_and_what_is_no_character_hides_nothing(string text, SecretKind kind) =>
        Assert.Contains(Detector.Scan($"note {text} please"), finding => finding.Kind == kind.ToString());

    [Theory]
    [InlineData("jane&commat;example&period;org", SecretKind.Email)]
    [InlineData("+44&nbsp;20&ensp;7946&emsp;0958", SecretKind.Phone)]
    [InlineData("4111&hyphen;1111&dash;1111&hyphen;1111", SecretKind.CreditCard)]
    [InlineData("password&colon; &quot;tulpe!1988&quot;", SecretKind.Password)]
    [InlineData("user&#61;x&amp;password&equals;tulpe1988&lt;br&gt;", SecretKind.Password)]
    [InlineData("\"x\\tjane.roe@example.org\\r\\n\"", SecretKind.Email)]
    [InlineData("4111\\t1111\\t1111\\t1111", SecretKind.CreditCard)]
    [InlineData("\"password:\\r\\ntulpe1988x\\r\\n\"", SecretKind.Password)]
    // "Grüße von jane.roe@example.org", "моя почта jane@example.org, спасибо" and "Straße: jane.roe@example.org".
    [InlineData("R3LDvMOfZSB2b24gamFuZS5yb2VAZXhhbXBsZS5vcmc=", SecretKind.Email)]
    [InlineData("0LzQvtGPINC/0L7Rh9GC0LAgamFuZUBleGFtcGxlLm9yZywg0YHQv9Cw0YHQuNCx0L4=", SecretKind.Email)]
    [InlineData("53747261c39f653a206a616e652e726f65406578616d706c652e6f7267", SecretKind.Email)]
    public void What_is_encoded_in_other_ways_is_read_too(string text, SecretKind kind)
    {
        var detector = Detector.Create(new RuleSpec { Disabled = [SecretKind.ApiKey, SecretKind.CryptoWallet] }, "rules");
        Assert.Contains(detector.Scan($"Note {text} please"), finding => finding.Kind == kind.ToString() && finding.End <= 5 + text.Length);
    }

    [Theory]
    [InlineData("Login\nanna\nPassword:\ntulpe1988\n", "Password:\ntulpe1988")]
    [InlineData("Login\nanna\nPassword: \r\n  tulpe1988\n", "Password: \r\n  tulpe1988")]
    [InlineData("user: anna\npassword: |\n  tulpe1988\n", "password: |\n  tulpe1988")]
    [InlineData("  password: >-\n    tulpe1988\n", "password: >-\n    tulpe1988")]
    [InlineData("- Passwort:\ntulpe1988", "Passwort:\ntulpe1988")]
    public void A_password_on_the_line_behind_its_label_is_found(string text, string expected)
    {
        var finding = Assert.Single(Detector.Scan(text));
        Assert.Equal((nameof(SecretKind.Password), expected), (finding.Kind, text[finding.Start..finding.End]));
    }

    [Theory]
    [InlineData("Password:\nThe password that you have chosen.\n")]
    [InlineData("password:\n  type: string\n  minLength: 12\n")]
    [InlineData("Password:\n\nsection2\n")]
    [InlineData("password: |\n  ${DB_PASSWORD}\n")]
    [InlineData("Enter your password:\nStep2: press return\n")]
    [InlineData("Password:\nconfirmation\n")]
    public void What_follows_a_label_and_is_no_password_is_none(string text) => Assert.Empty(Detector.Scan(text));

    [Fact]
    public void A_kind_that_is_left_out_does_not_hide_the_others()
    {
        var detector = Detector.Create(new RuleSpec { Disabled = [SecretKind.PrivateKey] }, "rules");
        Assert.Equal(["Email", "CreditCard"], detector.Scan("-----BEGIN PRIVATE KEY-----\njane@example.org and 4111 1111 1111 1111").Select(finding => finding.Kind));
    }

    [Theory]
    [InlineData("see PRJ-1234 now", 4, 12)]
    [InlineData("see ＰＲＪ－１２３４ now", 4, 12)]
    [InlineData("see P\u200BRJ-12\u00AD34 now", 4, 14)]
    [InlineData("see ⓟⓡⓙ‑𝟷𝟸𝟹𝟺 now", 4, 16)]
    public void Own_rules_read_the_text_folded(string text, int start, int end)
    {
        var detector = Detector.Create(new RuleSpec { Custom = [new CustomRule { Name = "project", Pattern = "PRJ-[0-9]{4}", IgnoreCase = true }] }, "rules");
        Assert.Equal((start, end), Assert.Single(detector.Scan(text).Select(finding => (finding.Start, finding.End))));
    }

    [Fact]
    public void Own_rules_read_the_text_as_it_is_written_too()
    {
        var detector = Detector.Create(new RuleSpec { Custom = [new CustomRule { Name = "project", Pattern = "Проект-[0-9]+" }] }, "rules");
        Assert.Equal((4, 13), Assert.Single(detector.Scan("see Проект-77 now").Select(finding => (finding.Start, finding.End))));
    }

    [Fact]
    public void A_disabled_kind_is_not_reported_and_the_others_are()
    {
        var detector = Detector.Create(new RuleSpec { Disabled = [SecretKind.Email] }, "rules");
        Assert.Equal(["UsSsn"], detector.Scan("a@example.com 078-05-1120").Select(finding => finding.Kind));
    }

    [Fact]
    public void Own_rules_find_what_crosses_a_window()
    {
        var detector = Detector.Create(new RuleSpec { Custom = [new CustomRule { Name = "project", Pattern = "PRJ-[0-9]{4}", IgnoreCase = true }] }, "rules");
        var text = new string('x', WindowedExpression.Window - 4) + "prj-1234 " + new string('y', 20000) + "PRJ-0001";
        Assert.Equal([(WindowedExpression.Window - 4, WindowedExpression.Window + 4), (text.Length - 8, text.Length)], detector.Scan(text).Select(finding => (finding.Start, finding.End)));
    }

    [Theory]
    [InlineData("(a)\\1", "custom[0].pattern")]
    [InlineData("(?=x)x", "custom[0].pattern")]
    [InlineData("a(", "custom[0].pattern")]
    [InlineData("a*", "matches the empty text")]
    public void A_rule_that_cannot_be_matched_in_linear_time_is_refused(string pattern, string says)
    {
        var error = Assert.Throws<UserInputException>(() => Detector.Create(new RuleSpec { Custom = [new CustomRule { Name = "x", Pattern = pattern }] }, "spec.rules"));
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("1")]
    [InlineData("4 ")]
    [InlineData("a@")]
    [InlineData("aA1-")]
    [InlineData("((((")]
    [InlineData("password ")]
    [InlineData("one ")]
    [InlineData("1:")]
    [InlineData("ab:")]
    [InlineData("rue A ")]
    [InlineData("DE89 ")]
    [InlineData("a://b:")]
    [InlineData("-----BEGIN PRIVATE KEY ")]
    [InlineData("1.")]
    [InlineData("a @ b . c ")]
    [InlineData("born May ")]
    [InlineData("中")]
    [InlineData("12 Aa ")]
    [InlineData("{\"a\":[")]
    public void The_work_grows_with_the_length_and_not_faster(string unit)
    {
        // Sixteen times the text may take somewhat more than sixteen times the work, never 256 times. Work is this thread's
        // time on a processor: what else the machine does is not in it.
        var detector = Detector.Create(new RuleSpec { Custom = [new CustomRule { Name = "greedy", Pattern = "(x+x+)+y|a.*b" }] }, "rules");
        var small = Repeat(unit, 1 << 13);
        var large = Repeat(unit, 1 << 17);
        detector.Scan(small);
        Assert.InRange(Least(detector, large) / Math.Max(Least(detector, small), 0.05), 0, 90);
    }

    private static string Repeat(string unit, int length) => string.Concat(Enumerable.Repeat(unit, length / unit.Length));

    private static double Least(Detector detector, string text) => Enumerable.Range(0, 5).Min(_ =>
    {
        var start = ThreadClock.Now;
        Assert.True(start > TimeSpan.Zero, "the thread's clock does not run");
        detector.Scan(text);
        return (ThreadClock.Now - start).TotalMilliseconds;
    });

    private static string Fill(string template, string secret) => string.Format(CultureInfo.InvariantCulture, template, secret);
}
