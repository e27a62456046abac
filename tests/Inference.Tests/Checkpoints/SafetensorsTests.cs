using System.Buffers.Binary;
using System.Text;
using FsCheck.Xunit;
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
        byte[] b = new byte[8];
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
    public void Refuses_corrupt_headers(string header, int dataBytes, string expected)
    {
        Write(header, dataBytes);
        Refused(expected);
    }

    [Fact]
    public void Refuses_false_lengths()
    {
        File.WriteAllBytes(_path, [1, 2, 3]);
        Refused("is 3 bytes long; a safetensors file begins with an 8-byte header length");
        Write(Good, 32, length: 1000);
        Refused("header length 1000 is more than the");
        Write(Good, 32, length: ulong.MaxValue);
        Refused("header length 18446744073709551615 is over the format's limit");
    }

    [Property(MaxTest = 300)]
    public void Truncated_files_are_refused(ushort length, bool quantized)
    {
        Write(quantized ? Quantized : Good, quantized ? 47 : 32);
        byte[] whole = File.ReadAllBytes(_path);
        File.WriteAllBytes(_path, whole[..(length % whole.Length)]);
        Assert.Throws<UserInputException>(() => SafetensorsFile.Open(_path).Dispose());
    }

    [Property(MaxTest = 1000)]
    public void Changed_bytes_never_cause_any_other_error(ushort[] positions, byte[] values, bool quantized)
    {
        int data = quantized ? 47 : 32;
        Write(quantized ? Quantized : Good, data);
        byte[] bytes = File.ReadAllBytes(_path);
        for (int i = 0; i < Math.Min(positions.Length, values.Length); i++)
            bytes[positions[i] % (bytes.Length - data)] = values[i];
        File.WriteAllBytes(_path, bytes);
        OpensOrIsRefused();
    }

    [Property(MaxTest = 500)]
    public void Arbitrary_files_never_cause_any_other_error(byte[] bytes, bool plausibleLength)
    {
        if (plausibleLength && bytes.Length >= 8)
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)(bytes.Length - 8));
        File.WriteAllBytes(_path, bytes);
        OpensOrIsRefused();
    }

    [Property(MaxTest = 500)]
    public void Arbitrary_offsets_never_overlap_or_leave_the_file(long a, long b, long c, long d, byte dataBytes)
    {
        Write($$$"""{"x":{"dtype":"U8","shape":[{{{b}}}],"data_offsets":[{{{a}}},{{{c}}}]},"y":{"dtype":"U8","shape":[{{{d}}}],"data_offsets":[{{{c}}},{{{dataBytes}}}]}}""", dataBytes);
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
            Assert.True(at <= new FileInfo(_path).Length);
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
        byte[] json = Encoding.UTF8.GetBytes(header);
        byte[] prefix = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(prefix, length ?? (ulong)json.Length);
        File.WriteAllBytes(_path, [.. prefix, .. json, .. Enumerable.Range(0, dataBytes).Select(i => (byte)i)]);
    }
}
