using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Moebius.Inference.Tools;

namespace Moebius.Inference.Tests.Tools;

public sealed class JsonScannerTests
{
    [Property(MaxTest = 2000)]
    public Property It_agrees_with_the_library_on_any_text()
    {
        var pieces = Gen.Elements("{", "}", "[", "]", ",", ":", "\"a\"", "\"", "\\", "\\n", "\\u00e9", "\\u12", "1", "0", "-", ".", "e", "+", "true", "nul", "null", " ", "\n", "x", "\u0001", "\"b\":1", "{\"c\":[]}");
        return Prop.ForAll(Gen.ListOf(pieces).Select(parts => "[" + string.Concat(parts)).ToArbitrary(), Gen.Elements("", "]", "1]", "\"]", "}]", "{}]").ToArbitrary(), (begin, end) =>
        {
            var text = begin + end;
            var scanner = default(JsonScanner);
            var step = scanner.Push(text, out var length);
            Assert.Equal(Valid(text), step == JsonStep.Last && text.AsSpan(length).Trim(" \n").IsEmpty);
            // What is wrong is so for good: no text that goes on so is JSON.
            if (step == JsonStep.Last)
                Assert.True(Valid(text[..length]));
        });
    }

    [Theory]
    [InlineData("12", "More")]
    [InlineData("12,", "Past")]
    [InlineData("-,", "Wrong")]
    [InlineData("1e,", "Wrong")]
    [InlineData("01", "Past")]
    [InlineData("null", "Last")]
    [InlineData("nul,", "Wrong")]
    [InlineData(" \"a\\\"b\"", "Last")]
    public void Values_without_brackets_end_where_they_do(string text, string expected) => Assert.Equal(Enum.Parse<JsonStep>(expected), default(JsonScanner).Push(text, out _));

    [Fact]
    public void Nesting_has_a_limit()
    {
        Assert.Equal(JsonStep.Last, default(JsonScanner).Push(new string('[', JsonScanner.MostLevels) + new string(']', JsonScanner.MostLevels), out _));
        Assert.Equal(JsonStep.Wrong, default(JsonScanner).Push(new string('[', JsonScanner.MostLevels + 1), out _));
    }

    private static bool Valid(string text)
    {
        try
        {
            JsonDocument.Parse(text).Dispose();
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
