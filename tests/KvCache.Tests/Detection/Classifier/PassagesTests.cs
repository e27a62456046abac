using FsCheck;
using FsCheck.Fluent;
using Moebius.KvCache.Detection.Classifier;

namespace Moebius.KvCache.Tests.Detection.Classifier;

public sealed class PassagesTests
{
    private static readonly Arbitrary<string> Texts = Gen.Elements("a", "B", " ", ". ", "Mr. ", "\n", "!", "word ", "3.14 ", "中", "。", "😀", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx").ListOf().Select(parts => string.Concat(parts)).ToArbitrary();

    [Property]
    public Property Passages_are_in_order_short_and_leave_out_nothing_that_can_be_read() => Prop.ForAll(Texts, text =>
    {
        var end = 0;
        foreach (var passage in Passages.Of(text))
        {
            Assert.True(passage.Start >= end && passage.End > passage.Start && passage.End - passage.Start <= Passages.MaxLength);
            Assert.DoesNotContain(text[end..passage.Start], char.IsLetterOrDigit);
            end = passage.End;
        }

        Assert.DoesNotContain(text[end..], char.IsLetterOrDigit);
    });

    [Property]
    public Property What_follows_changes_nothing_about_a_closed_passage() => Prop.ForAll(Texts, Texts, (text, more) =>
    {
        var closed = Passages.Of(text).Where(passage => passage.IsClosed).ToArray();
        Assert.Equal(closed, Passages.Of(text + more).Take(closed.Length));
    });

    [Theory]
    [InlineData("Ask Dr. Brown. He knows.", 2)]
    [InlineData("Version 3.14 is out! Get it.", 2)]
    [InlineData("one\ntwo\n\nthree", 3)]
    [InlineData("我叫王伟。你好。", 2)]
    public void Sentences_and_lines_are_passages(string text, int count) => Assert.Equal(count, Passages.Of(text).Count());
}
