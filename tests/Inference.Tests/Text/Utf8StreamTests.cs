using System.Text;
using Moebius.Inference.Text;

namespace Moebius.Inference.Tests.Text;

public class Utf8StreamTests
{
    [Fact]
    public void A_character_waits_for_its_rest_and_at_the_end_no_longer()
    {
        var stream = new Utf8Stream();
        Assert.Equal("a", stream.Append("a"u8));
        Assert.Equal("", stream.Append([0xC3]));
        Assert.Equal("éb", stream.Append([0xA9, (byte)'b']));
        Assert.Equal("", stream.Append([0xF0, 0x9F]));
        Assert.Equal("\uFFFD", stream.Finish());
        Assert.Equal("", new Utf8Stream().Finish());
    }

    [Fact]
    public void Plain_text_behind_half_a_character_ends_it()
    {
        var stream = new Utf8Stream();
        Assert.Equal("", stream.Append([0xC3]));
        Assert.Equal("", stream.Append([]));
        Assert.Equal("\uFFFDa", stream.Append("a"u8));
        Assert.Equal("", stream.Finish());
    }

    [Property(MaxTest = 300)]
    public void Pieces_add_up_to_the_whole(byte[] bytes, byte cut)
    {
        var stream = new Utf8Stream();
        var text = new StringBuilder();
        foreach (var piece in bytes.Chunk((cut % 5) + 1))
            text.Append(stream.Append(piece));
        Assert.Equal(Encoding.UTF8.GetString(bytes), text.Append(stream.Finish()).ToString());
    }
}
