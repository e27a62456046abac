using System.Runtime.InteropServices;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Storage;

namespace Moebius.Inference.Tests.Storage;

public sealed class StoredFileTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public static TheoryData<SlowTier> Tiers => [SlowTier.DirectIO, SlowTier.MemoryMap];

    public void Dispose() => _directory.Dispose();

    [Theory]
    [MemberData(nameof(Tiers))]
    public void What_is_no_file_is_refused_before_it_is_opened(SlowTier tier) =>
        Assert.Equal("/dev/zero: is a device, a pipe or a socket; a file is needed", Assert.Throws<UserInputException>(() => StoredFile.Open("/dev/zero", tier)).Message);

    [Theory]
    [MemberData(nameof(Tiers))]
    public unsafe void Any_range_reads_the_file_s_bytes(SlowTier tier)
    {
        var bytes = new byte[3_000_001];
        new Random(1).NextBytes(bytes);
        using var file = StoredFile.Open(Write("file", bytes), tier);
        Assert.Equal(bytes.Length, file.Length);
        var random = new Random(2);
        var aligned = (byte*)NativeMemory.AlignedAlloc((nuint)bytes.Length + 8192, 4096);
        try
        {
            for (var i = 0; i < 300; i++)
            {
                int offset = random.Next(bytes.Length), most = bytes.Length - offset;
                var count = random.Next(4) == 0 ? most : random.Next(Math.Min(most, 20000) + 1);
                if (i % 3 == 0)
                    (offset, count) = (offset / 4096 * 4096, count / 4096 * 4096);
                var destination = new Span<byte>(aligned + (i % 2 == 0 ? 0 : random.Next(4096)), count);
                file.Read(offset, destination, "part");
                Assert.True(destination.SequenceEqual(bytes.AsSpan(offset, count)), $"{count} bytes at {offset}");
            }
        }
        finally
        {
            NativeMemory.AlignedFree(aligned);
        }
    }

    [Theory]
    [MemberData(nameof(Tiers))]
    public void Many_threads_read_at_once(SlowTier tier)
    {
        var bytes = new byte[1 << 20];
        new Random(1).NextBytes(bytes);
        using var file = StoredFile.Open(Write("file", bytes), tier);
        Parallel.For(0, 64, i =>
        {
            var part = new byte[5000];
            file.Read(i * 7919, part, "part");
            Assert.True(part.AsSpan().SequenceEqual(bytes.AsSpan(i * 7919, part.Length)));
        });
    }

    [Theory]
    [MemberData(nameof(Tiers))]
    public void A_file_that_becomes_shorter_is_an_error_that_says_where(SlowTier tier)
    {
        var path = Write("file", new byte[50_000]);
        using var file = StoredFile.Open(path, tier);
        using (var stream = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            stream.SetLength(20_000);
        file.Read(0, new byte[20_000], "beginning");
        var error = Assert.Throws<IOException>(() => file.Read(8192, new byte[20_000], "tensor"));
        Assert.Equal($"{path}: tensor: the file ended at byte 20000; it was truncated after it was opened", error.Message);
        Assert.Throws<IOException>(() => file.Read(40_960, new byte[4096], "tensor"));
    }

    [Theory]
    [MemberData(nameof(Tiers))]
    public void An_empty_file_opens(SlowTier tier)
    {
        using var file = StoredFile.Open(Write("empty", []), tier);
        Assert.Equal(0, file.Length);
        file.Read(0, [], "nothing");
        Assert.Throws<IOException>(() => file.Read(0, new byte[1], "something"));
    }

    [Fact]
    public void Where_direct_io_is_refused_the_page_cache_serves_and_says_so()
    {
        using var file = StoredFile.Open("/proc/version");
        Assert.StartsWith("the page cache, because its file system refuses direct", file.Access, StringComparison.Ordinal);
    }

    [Fact]
    public void What_cannot_be_opened_is_named()
    {
        Assert.StartsWith("/nowhere/file: cannot be opened", Assert.Throws<UserInputException>(() => StoredFile.Open("/nowhere/file")).Message, StringComparison.Ordinal);
        Assert.StartsWith("HostMemory is for a fast tier on a device", Assert.Throws<UserInputException>(() => StoredFile.Open(Write("file", [1]), SlowTier.HostMemory)).Message, StringComparison.Ordinal);
    }

    private string Write(string name, byte[] bytes)
    {
        var path = Path.Combine(_directory.Path, name);
        File.WriteAllBytes(path, bytes);
        return path;
    }
}
