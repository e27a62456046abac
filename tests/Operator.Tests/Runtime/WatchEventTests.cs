using System.Buffers;
using System.Text;
using System.Text.Json;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Runtime;

public sealed class WatchEventTests
{
    [Theory]
    [InlineData("""{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"a","namespace":"n","resourceVersion":"7","labels":{"name":"x"}},"spec":{"metadata":{"name":"b"},"template":{"metadata":{"name":"c"}}}}}""", "ADDED n/a 7")]
    [InlineData("""{"object":{"spec":{"name":"b","metadata":{"name":"c"}},"metadata":{"managedFields":[{"name":"m"}],"name":"a","resourceVersion":"8"}},"type":"DELETED","more":[1]}""", "DELETED a 8")]
    [InlineData("""{"type":"BOOKMARK","object":{"metadata":{"name":null,"resourceVersion":"9"}}}""", "BOOKMARK  9")]
    [InlineData("""{"type":"ERROR","object":{"kind":"Status","code":410}}""", "ERROR  ")]
    public void A_change_says_of_which_object_it_is(string line, string expected)
    {
        foreach (var pieces in new[] { 1, 2, 7 })
        {
            var change = WatchEvent.Parse(Split(line, pieces));
            Assert.Equal(expected, $"{change.Type} {change.Key} {change.ResourceVersion}");
            Assert.Equal(JsonDocument.Parse(line).RootElement.GetProperty("object").GetRawText(), Encoding.UTF8.GetString(change.Json.Span));
        }
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"type":"ADDED"}""")]
    [InlineData("""{"type":"ADDED","object":null}""")]
    [InlineData("""{"type":"ADDED","object":{"metadata":[]}}""")]
    [InlineData("""{"type":"ADDED","object":{"metadata":{"name":"a"}""")]
    [InlineData("[]")]
    [InlineData("half")]
    public void What_is_not_a_change_is_an_error_of_the_stream(string line) => Assert.ThrowsAny<JsonException>(() => WatchEvent.Parse(Split(line, 1)));

    private static ReadOnlySequence<byte> Split(string text, int pieces)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        Segment? first = null, last = null;
        foreach (var chunk in bytes.Chunk((bytes.Length + pieces - 1) / pieces))
        {
            last = last is null ? new Segment(chunk, 0) : last.Append(chunk);
            first ??= last;
        }

        return new ReadOnlySequence<byte>(first!, 0, last!, last!.Memory.Length);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(byte[] memory, long index) => (Memory, RunningIndex) = (memory, index);

        public Segment Append(byte[] memory)
        {
            var next = new Segment(memory, RunningIndex + Memory.Length);
            Next = next;
            return next;
        }
    }
}
