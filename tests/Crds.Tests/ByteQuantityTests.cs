using System.Text.Json;
using k8s.Models;

namespace Moebius.Crds.Tests;

public class ByteQuantityTests
{
    private static readonly string[] Suffixes = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E2", "e0"];

    [Property]
    public void It_means_what_the_Kubernetes_client_means(AnyInt whole, byte fraction, byte suffix)
    {
        var text = $"{whole.Item}{(fraction % 3 == 0 ? "" : $".{fraction}")}{Suffixes[suffix % Suffixes.Length]}";
        var theirs = new ResourceQuantity(text).ToDecimal();
        // Theirs rounds up below a nano, and ends at 2^63 - 1.
        var ours = Math.Clamp(new ByteQuantity(text).Value, -long.MaxValue, long.MaxValue);
        Assert.InRange(Math.Abs(ours - Math.Clamp(theirs, -long.MaxValue, long.MaxValue)), 0, 1e-9m);
    }

    [Theory]
    [InlineData("")]
    [InlineData("Mi")]
    [InlineData("4 MB")]
    [InlineData("4MB")]
    [InlineData("4mi")]
    [InlineData("1e3Mi")]
    [InlineData("1,5Gi")]
    [InlineData("0x10")]
    [InlineData("NaN")]
    public void What_is_no_quantity_is_refused(string text)
    {
        Assert.Throws<FormatException>(() => new ByteQuantity(text));
        Assert.Throws<JsonException>(() => JsonSerializer.Deserialize<ByteQuantity>(JsonSerializer.Serialize(text)));
    }

    [Theory]
    [InlineData("99999999999Ei")]
    [InlineData("-99999999999Ei")]
    public void Numbers_beyond_all_bounds_are_bounds(string text) =>
        Assert.Equal(text[0] == '-' ? decimal.MinValue : decimal.MaxValue, new ByteQuantity(text).Value);

    [Theory]
    [InlineData("\"1.5Gi\"", "1.5Gi", 1610612736)]
    [InlineData("1048576", "1048576", 1048576)]
    public void Json_keeps_what_was_written(string json, string text, long bytes)
    {
        var read = JsonSerializer.Deserialize<ByteQuantity>(json, Manifests.Json)!;
        Assert.Equal((text, bytes), (read.ToString(), Quantities.Bytes(read, "f")));
        Assert.Equal($"\"{text}\"", JsonSerializer.Serialize(read, Manifests.Json));
    }
}
