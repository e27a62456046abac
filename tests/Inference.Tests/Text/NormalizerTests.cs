using System.Text;
using Moebius.Crds.Text;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Tests.Text;

public class NormalizerTests
{
    // Expected: what the reference library (tokenizers 0.23) does.
    [Theory]
    [InlineData("plain", "plain", "plain", "plain", "plain")]
    [InlineData("e\u0301", "\u00E9", "e\u0301", "\u00E9", "e\u0301")]
    [InlineData("\u212B", "\u00C5", "A\u030A", "\u00C5", "A\u030A")]
    [InlineData("a\u0323\u0307", "\u1EA1\u0307", "a\u0323\u0307", "\u1EA1\u0307", "a\u0323\u0307")]
    [InlineData("a\u0307\u0323", "\u1EA1\u0307", "a\u0323\u0307", "\u1EA1\u0307", "a\u0323\u0307")]
    [InlineData("\uD55C", "\uD55C", "\u1112\u1161\u11AB", "\uD55C", "\u1112\u1161\u11AB")]
    [InlineData("\u1112\u1161\u11AB", "\uD55C", "\u1112\u1161\u11AB", "\uD55C", "\u1112\u1161\u11AB")]
    [InlineData("\u0958", "\u0915\u093C", "\u0915\u093C", "\u0915\u093C", "\u0915\u093C")]
    [InlineData("\uFB01\u00B2\u2460\uFF21\u00A0", "\uFB01\u00B2\u2460\uFF21\u00A0", "\uFB01\u00B2\u2460\uFF21\u00A0", "fi21A ", "fi21A ")]
    [InlineData("\u1E9B\u0323", "\u1E9B\u0323", "\u017F\u0323\u0307", "\u1E69", "s\u0323\u0307")]
    [InlineData("\uFDFA", "\uFDFA", "\uFDFA", "\u0635\u0644\u0649 \u0627\u0644\u0644\u0647 \u0639\u0644\u064A\u0647 \u0648\u0633\u0644\u0645", "\u0635\u0644\u0649 \u0627\u0644\u0644\u0647 \u0639\u0644\u064A\u0647 \u0648\u0633\u0644\u0645")]
    [InlineData("\u32FF", "\u32FF", "\u32FF", "\u32FF", "\u32FF")] // Of Unicode 12.1, which the library does not know.
    public void Forms_are_real_without_ICU(string text, string c, string d, string kc, string kd)
    {
        Assert.Equal(c, UnicodeNormalization.Normalize(text, NormalizationForm.FormC));
        Assert.Equal(d, UnicodeNormalization.Normalize(text, NormalizationForm.FormD));
        Assert.Equal(kc, UnicodeNormalization.Normalize(text, NormalizationForm.FormKC));
        Assert.Equal(kd, UnicodeNormalization.Normalize(text, NormalizationForm.FormKD));
    }

    [Property(MaxTest = 300)]
    public void Forms_agree_with_each_other(char[] characters)
    {
        var text = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(characters));
        string d = UnicodeNormalization.Normalize(text, NormalizationForm.FormD), c = UnicodeNormalization.Normalize(text, NormalizationForm.FormC);
        string kd = UnicodeNormalization.Normalize(text, NormalizationForm.FormKD), kc = UnicodeNormalization.Normalize(text, NormalizationForm.FormKC);
        Assert.Equal(d, UnicodeNormalization.Normalize(c, NormalizationForm.FormD));
        Assert.Equal(c, UnicodeNormalization.Normalize(d, NormalizationForm.FormC));
        Assert.Equal(kd, UnicodeNormalization.Normalize(d, NormalizationForm.FormKD));
        Assert.Equal(kc, UnicodeNormalization.Normalize(kd, NormalizationForm.FormC));
        Assert.Equal(kc, UnicodeNormalization.Normalize(kc, NormalizationForm.FormKC));
    }

    [Fact]
    public async Task A_long_run_of_combining_marks_is_put_in_order_soon()
    {
        // Each moved past all of the others it would take minutes: half a million in front of as many.
        const int Marks = 1 << 19;
        string above = new('\u0301', Marks), below = new('\u0323', Marks);
        Assert.Equal($"a{below}{above}b", await Eventually.EndsAsync(Task.Run(() => UnicodeNormalization.Normalize($"a{above}{below}b", NormalizationForm.FormD)), "the order of many marks"));
    }

    // Expected: what the reference library (tokenizers 0.23) does.
    [Theory]
    [InlineData("e\u0301a\u0323\u0307x", "eax")]
    [InlineData("\u00E9", "\u00E9")]
    [InlineData("\u0939\u093F\u0928\u094D\u0926\u0940", "\u0939\u0928\u0926")]
    [InlineData("\u05E9\u05C1\u20DD", "\u05E9")]
    public void Accents_are_combining_marks(string text, string expected) => Assert.Equal(expected, new StripAccentsNormalizer().Normalize(new Piece(text, true)).Text);

    // Expected: what the reference library (tokenizers 0.23) does.
    [Fact]
    public void Control_characters_go_and_odd_spaces_become_one() =>
        Assert.Equal("\0ab c d\u00A0e f ", new NmtNormalizer().Normalize(new Piece("\0a\u0007b\tc\u2028d\u00A0e\u200Df\uFFFD", true)).Text);

    // Expected: what the reference library (tokenizers 0.23) does, which puts no mark of a text's beginning there.
    [Theory]
    [InlineData("  ab", false)]
    [InlineData("ab  ", true)]
    public void White_space_that_is_stripped_moves_the_start(string text, bool atStart) =>
        Assert.Equal(new Piece("ab", atStart), new StripNormalizer(true, true).Normalize(new Piece(text, true)));

    // Expected: what the reference library (tokenizers 0.23) does.
    [Theory]
    [InlineData("xxab", "x+", "_", "_ab", false)]
    [InlineData("xab", "x+", "_", "_ab", true)]
    [InlineData("xab", "x+", "", "ab", false)]
    [InlineData("abxx", "x+", "_", "ab_", true)]
    public void Several_characters_that_are_replaced_move_the_start(string text, string pattern, string replacement, string expected, bool atStart) =>
        Assert.Equal(new Piece(expected, atStart), new ReplaceNormalizer(new System.Text.RegularExpressions.Regex(pattern), replacement).Normalize(new Piece(text, true)));
}
