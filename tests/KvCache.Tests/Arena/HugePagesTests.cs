using Moebius.Crds.Host;
using Moebius.KvCache.Arena;

namespace Moebius.KvCache.Tests.Arena;

public sealed class HugePagesTests
{
    private const int Length = 5 << 20;

    [Fact]
    public void Whole_huge_pages_are_put_together_and_every_byte_stays()
    {
        if (!Directory.Exists("/dev/shm"))
            Assert.Skip("/dev/shm is missing");
        var path = Path.Combine("/dev/shm", "moebius-huge-" + Guid.NewGuid().ToString("N"));
        try
        {
            var (done, kept) = PutTogether(path);
            Assert.True(kept);
            // Two whole pages of 2 MiB, and a rest that is none.
            if (done < 2L * AlignedMapping.HugePageBytes)
                Assert.Skip($"{done} bytes were put together: this kernel does not put pages of memory file systems together (Linux 6.1 and later do), or had no huge page free");
            Assert.Equal(2L * AlignedMapping.HugePageBytes, done);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void A_file_on_a_disk_stays_as_it_is()
    {
        var folder = Directory.CreateTempSubdirectory("kvcache-");
        try
        {
            Assert.True(PutTogether(Path.Combine(folder.FullName, "arena")).Kept);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static (long Done, bool Kept) PutTogether(string path)
    {
        var bytes = new byte[Length];
        Random.Shared.NextBytes(bytes);
        File.WriteAllBytes(path, bytes);
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite);
        var done = HugePages.PutTogether(file, Length, TestContext.Current.CancellationToken);
        return (done, File.ReadAllBytes(path).AsSpan().SequenceEqual(bytes));
    }
}
