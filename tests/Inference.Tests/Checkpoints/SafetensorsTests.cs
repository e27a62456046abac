using System.Buffers.Binary;
using System.Text;
using Moebius.Crds;
using Moebius.Inference.Checkpoints;

namespace Moebius.Inference.Tests.Checkpoints;

public sealed class SafetensorsTests : IDisposable
{
    private const string Good = """{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},"__metadata__":{"format":"pt"}}""";

    private const string Quantized = """{"a_blocks":{"dtype":"U8","shape":[1,2,1,16],"data_offsets":[0,32]},"a_scales":{"dtype":"U8","shape":[1,2,1],"data_offsets":[32,34]},"b":{"dtype":"F8_E4M3","shape":[3,3],"data_offsets":[34,43]},"b_scale_inv":{"dtype":"F32","shape":[1,1],"data_offsets":[43,47]}}""";

    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void Reads_what_is_there()
    {
        Write(Good, 32);
        using var file = SafetensorsFile.Open(_path);
        Assert.Equal(["a", "b"], file.Entries.Select(e => e.Name));
        var b = new byte[8];
        file.Read(file.Entries[1], 0, b);
        Assert.Equal([24, 25, 26, 27, 28, 29, 30, 31], b);
        Assert.Throws<ArgumentOutOfRangeException>(() => file.Read(file.Entries[1], 1, b));
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}""", 16, "names \"a\" twice")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12, "tensor \"b\" overlaps \"a\"")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12, "tensor \"a\" begins 4 bytes after")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 12, "has 4 bytes after the last tensor")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,16]}}""", 8, "tensor \"a\" has data_offsets [0, 16]; they must be [begin, end] inside the 8 bytes of data")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", 8, "tensor \"a\" has data_offsets [8, 0]")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}""", 8, "data_offsets [-8,0]; it must be a list of up to 16 non-negative integers")]
    [InlineData("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", 8, "tensor \"a\" has 8 bytes of data; dtype F32 and shape [3] make 12")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296,4294967296],"data_offsets":[0,8]}}""", 8, "more than 18446744073709551615 bytes")]
    [InlineData("""{"a":{"dtype":"F32","shape":[9223372036854775807,2],"data_offsets":[0,8]}}""", 8, "tensor \"a\" has shape")]
    [InlineData("""{"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}}""", 8, "tensor \"a\" has dtype \"F33\"; known are BOOL, U8")]
    [InlineData("""{"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}""", 8, "tensor \"a\" has shape 2; it must be a list")]
    [InlineData("""{"a":{"shape":[2],"data_offsets":[0,8]}}""", 8, "tensor \"a\" has dtype (absent)")]
    [InlineData("""{"a":7}""", 0, "tensor \"a\" is a JSON Number")]
    [InlineData("[]", 0, "header is a JSON Array; it must be an object")]
    [InlineData("{", 0, "header is not valid JSON")]
    [InlineData("""{"\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8, "header is not valid JSON")]
    [InlineData("""{"a":{"dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,4]}}""", 4, "tensor \"a\" has dtype twice")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"data_offsets":[0,8]}}""", 8, "tensor \"a\" has data_offsets twice")]
    [InlineData("""{"a":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807,0],"data_offsets":[0,0]}}""", 0, "more than 18446744073709551615 bytes")]
    [InlineData("""{"a":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8]}}""", 8, "it must be a list of up to 16 non-negative integers")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}""", 8, "it must be a list of up to 16 non-negative integers")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}""", 8, "has data_offsets [0, 8, 8]; they must be [begin, end]")]
    [InlineData("\ufeff{}", 0, "header is not valid JSON")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},}""", 8, "header is not valid JSON")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} x""", 8, "header is not valid JSON")]
    public void Refuses_corrupt_headers(string header, int dataBytes, string expected)
    {
        Write(header, dataBytes);
        Refused(expected);
    }

    [Fact]
    public void Refuses_false_lengths()
    {
        WriteFile([1, 2, 3]);
        Refused("is 3 bytes long; a safetensors file begins with an 8-byte header length");
        Write(Good, 32, length: 1000);
        Refused("header length 1000 is more than the");
        Write(Good, 32, length: ulong.MaxValue);
        Refused("header length 18446744073709551615 is over the format's limit");
        foreach (var length in new ulong[] { long.MaxValue, 1UL << 63, (1UL << 63) - 8, 1UL << 32, 100_000_001 })
        {
            Write(Good, 32, length);
            Refused($"header length {length} is over the format's limit");
        }
    }

    [Fact]
    public void Refuses_a_header_of_very_many_levels()
    {
        foreach (var levels in new[] { 65, 100_000 })
        {
            Write("{\"__metadata__\":" + new string('[', levels) + new string(']', levels) + "}", 0);
            Refused("header is not valid JSON");
        }
    }

    [Fact]
    public void Reads_empty_tensors_scalars_blanks_and_any_alignment()
    {
        Write("""{"e":{"dtype":"F32","shape":[5,0],"data_offsets":[1,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"s":{"dtype":"F32","shape":[],"data_offsets":[1,5]}}       """, 5);
        using var file = SafetensorsFile.Open(_path);
        Assert.Equal(["b", "e", "s"], file.Entries.Select(entry => entry.Name));
        Assert.Equal([1, 0, 4], file.Entries.Select(entry => (int)entry.Length));
    }

    [Property(MaxTest = 300)]
    public void Truncated_files_are_refused(ushort length, bool quantized)
    {
        Write(quantized ? Quantized : Good, quantized ? 47 : 32);
        var whole = File.ReadAllBytes(_path);
        WriteFile(whole[..(length % whole.Length)]);
        Assert.Throws<UserInputException>(() => SafetensorsFile.Open(_path).Dispose());
    }

    [Property(MaxTest = 1000)]
    public void Changed_bytes_never_cause_any_other_error(ushort[] positions, byte[] values, bool quantized)
    {
        var data = quantized ? 47 : 32;
        Write(quantized ? Quantized : Good, data);
        var bytes = File.ReadAllBytes(_path);
        for (var i = 0; i < Math.Min(positions.Length, values.Length); i++)
            bytes[positions[i] % (bytes.Length - data)] = values[i];
        WriteFile(bytes);
        OpensOrIsRefused();
    }

    [Property(MaxTest = 500)]
    public void Arbitrary_files_never_cause_any_other_error(byte[] bytes, bool plausibleLength)
    {
        if (plausibleLength && bytes.Length >= 8)
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)(bytes.Length - 8));
        WriteFile(bytes);
        OpensOrIsRefused();
    }

    [Property(MaxTest = 500)]
    public void Arbitrary_offsets_never_overlap_or_leave_the_file(long a, long b, long c, long d, byte dataBytes)
    {
        Write($$$"""{"x":{"dtype":"U8","shape":[{{{b}}}],"data_offsets":[{{{a}}},{{{c}}}]},"y":{"dtype":"U8","shape":[{{{d}}}],"data_offsets":[{{{c}}},{{{dataBytes}}}]}}""", dataBytes);
        OpensOrIsRefused();
    }

    [Property(MaxTest = 2000)]
    public void Headers_that_are_nearly_right_open_or_are_refused(AnyInt seed)
    {
        var random = new Random(seed.Item);
        var dataBytes = random.Next(4) * 8;
        string Pick(params string[] values) => values[random.Next(values.Length)];
        string Number() => random.Next(3) > 0 ? $"{random.Next(5) * 8}" : Pick("0", "1", "-1", "-0", "8.0", "8e0", "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551616", "1e400", "null", "\"8\"", "[8]", "{}");
        string List(int count) => "[" + string.Join(',', Enumerable.Range(0, count).Select(_ => Number())) + "]";
        string Field() => random.Next(3) switch
        {
            0 => $"\"dtype\":{Pick("\"F32\"", "\"U8\"", "\"BF16\"", "\"F8_E4M3\"", "\"I64\"", "\"f32\"", "\"F4\"", "\"\\ud800\"", "null", "7")}",
            1 => $"\"shape\":{(random.Next(9) > 0 ? List(random.Next(4)) : Pick("null", "8", "\"[8]\"", List(17)))}",
            _ => $"\"data_offsets\":{(random.Next(9) > 0 ? List(2) : List(random.Next(4)))}",
        };
        string Right(int from, int to) => $"\"dtype\":\"U8\",\"shape\":[{to - from}],\"data_offsets\":[{from},{to}]";
        var parts = new List<string>();
        for (int at = 0, i = random.Next(4); i > 0; i--)
        {
            var to = Math.Min(dataBytes, at + (random.Next(3) * 8));
            var name = random.Next(8) > 0 ? $"t{parts.Count}" : Pick("t0", "__metadata__", "", "\\ud800", "\\u0000", "\\n");
            parts.Add($"\"{name}\":" + (random.Next(4) > 0 ? $"{{{Right(at, to)}}}" : Pick("7", "null", "[]", "{" + string.Join(',', Enumerable.Range(0, random.Next(5)).Select(_ => Field())) + "}")));
            at = to;
        }

        var header = "{" + string.Join(random.Next(20) > 0 ? "," : "", parts) + "}" + (random.Next(8) > 0 ? "" : Pick(" ", "\0", "}", ",", "\n", "\ufeff", "/**/"));
        Write(header, dataBytes, random.Next(20) > 0 ? null : (ulong)random.NextInt64());
        OpensOrIsRefused();
    }

    private void OpensOrIsRefused()
    {
        try
        {
            using var file = SafetensorsFile.Open(_path);
            long at = 0;
            foreach (var entry in file.Entries)
            {
                Assert.True(entry.Offset >= at);
                at = entry.Offset + entry.Length;
                file.Read(entry, 0, new byte[entry.Length]);
            }
            // Whatever opens covers its data without a gap.
            Assert.Equal(new FileInfo(_path).Length, file.Entries.Count == 0 ? 8 + file.Header.Length : at);
            Assert.Equal(at, file.Entries.Count == 0 ? 0 : 8 + file.Header.Length + file.Entries.Sum(entry => entry.Length));
        }
        catch (UserInputException e)
        {
            Assert.DoesNotContain('\n', e.Message);
            Assert.StartsWith(_path, e.Message, StringComparison.Ordinal);
        }
    }

    private void Refused(string expected)
    {
        var refused = Assert.Throws<UserInputException>(() => SafetensorsFile.Open(_path).Dispose());
        Assert.Contains(expected, refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refused.Message);
    }

    private void Write(string header, int dataBytes, ulong? length = null)
    {
        var json = Encoding.UTF8.GetBytes(header);
        var prefix = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(prefix, length ?? (ulong)json.Length);
        WriteFile([.. prefix, .. json, .. Enumerable.Range(0, dataBytes).Select(i => (byte)i)]);
    }

    /// <summary>A new file each time: one that is cut and written again is put on the disk at once by some file systems.</summary>
    private void WriteFile(byte[] bytes)
    {
        File.Delete(_path);
        File.WriteAllBytes(_path, bytes);
    }
}
