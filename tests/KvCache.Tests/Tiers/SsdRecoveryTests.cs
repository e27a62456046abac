using FsCheck;
using FsCheck.Fluent;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>Whatever a crash or a disk makes of the files: every block is either found with its bytes or not found.</summary>
[Trait("Category", "Component")]
public sealed class SsdRecoveryTests
{
    private const int Length = 64;

    /// <summary>Segments of as many blocks as there are.</summary>
    private const long SegmentBudget = 32 * DirectFile.Alignment;

    /// <summary>Thousands of segments are opened here for what is in their bytes; what a disk makes of them is tested with the others.</summary>
    private static readonly string InMemory = Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath();

    private static readonly (TierBlock Block, string? Tenant)[] Blocks =
        [(SsdHarness.Block("a"), null), (SsdHarness.Block("b", "alice"), "alice"), (SsdHarness.Block("c", "bob"), "bob"), (SsdHarness.Block("d"), null)];

    public enum Verb
    {
        Write,
        Read,
        Drop,
        DropTenant,
        Restart,
    }

    public sealed record Step(Verb Verb, int Block);

    public static Arbitrary<Step[]> Steps() =>
        (from verb in Gen.Frequency((6, Gen.Constant(Verb.Write)), (3, Gen.Constant(Verb.Read)), (1, Gen.Constant(Verb.Drop)), (1, Gen.Constant(Verb.DropTenant)), (1, Gen.Constant(Verb.Restart)))
         from block in Gen.Choose(0, 59)
         select new Step(verb, block)).ListOf().Select(static steps => steps.ToArray()).ToArbitrary();

    [Property(Arbitrary = [typeof(SsdRecoveryTests)], MaxTest = 60, EndSize = 250)]
    public void Under_a_small_budget_nothing_is_wrong_foreign_or_back_from_the_dead(Step[] steps)
    {
        using var ssd = new SsdHarness(32 * DirectFile.Alignment);
        var dropped = new HashSet<BlockId>();
        foreach (var (verb, number) in steps.Select(static step => (step.Verb, step.Block)))
        {
            var tenant = number % 3 == 0 ? null : number % 3 == 1 ? "alice" : "bob";
            var block = SsdHarness.Block($"{number}", tenant);
            switch (verb)
            {
                case Verb.Write:
                    if (ssd.Write(block, tenant))
                        dropped.Remove(block.Id);
                    break;
                case Verb.Drop:
                    SsdHarness.Erase(ssd.Tier.Drop([block.Id]));
                    dropped.Add(block.Id);
                    break;
                case Verb.DropTenant when tenant is not null:
                    SsdHarness.Erase(ssd.Tier.Drop(entry => entry.Block.Owner == SsdHarness.Owner(tenant)));
                    dropped.UnionWith(Enumerable.Range(0, 60).Where(other => other % 3 == number % 3).Select(other => SsdHarness.Block($"{other}", tenant).Id));
                    break;
                case Verb.Restart:
                    ssd.Restart();
                    break;
            }

            var found = ssd.Reads(block, tenant);
            Assert.False(found && dropped.Contains(block.Id));
        }

        Assert.Equal(0, ssd.Tier.Statistics().Damaged);
    }

    [Fact]
    public void A_byte_flipped_anywhere_loses_at_most_the_block_it_belongs_to()
    {
        var (directory, data) = MakeSegment();
        for (var position = 0; position < directory.Length; position++)
        {
            var flipped = directory.ToArray();
            flipped[position] ^= (byte)(1 << (position % 8));
            // Without its header a segment is nothing; otherwise one block is affected.
            Assert.True(CountReadable(flipped, data) >= (position < SegmentRecord.Size ? 0 : Blocks.Length - 1));
        }

        for (var position = 0; position < data.Length; position++)
        {
            var inBody = position < Blocks.Length * DirectFile.Alignment && position % DirectFile.Alignment < Length;
            // Padding is not looked at; a few of its bytes are enough.
            if (!inBody && position % 512 != 0)
                continue;
            var flipped = data.ToArray();
            flipped[position] ^= (byte)(1 << (position % 8));
            Assert.Equal(inBody ? Blocks.Length - 1 : Blocks.Length, CountReadable(directory, flipped));
        }
    }

    [Fact]
    public void A_file_cut_anywhere_keeps_what_lies_before_the_cut()
    {
        var (directory, data) = MakeSegment();
        for (var length = 0; length <= directory.Length; length++)
            Assert.Equal(Math.Max(0, (length / SegmentRecord.Size) - 1), CountReadable(directory[..length], data));
        for (var length = 0; length <= Blocks.Length * DirectFile.Alignment; length += 64)
            Assert.Equal(length / DirectFile.Alignment, CountReadable(directory, data[..length]));
    }

    [Property(MaxTest = 200)]
    public void Bytes_that_are_no_segment_are_survived(byte[] directory, byte[] data) => Assert.Equal(0, CountReadable(directory, data));

    [Property(MaxTest = 300)]
    public void Damage_in_many_places_never_yields_wrong_bytes(AnyInt seed)
    {
        var (directory, data) = MakeSegment();
        var random = new Random(seed.Item);
        for (var damage = random.Next(1, 20); damage > 0; damage--)
        {
            var file = random.Next(2) == 0 ? directory : data;
            var start = random.Next(file.Length);
            random.NextBytes(file.AsSpan(start, Math.Min(random.Next(1, 300), file.Length - start)));
        }

        Assert.InRange(CountReadable(directory, data), 0, Blocks.Length);
    }

    private static (byte[] Directory, byte[] Data) MakeSegment()
    {
        using var ssd = new SsdHarness(SegmentBudget);
        foreach (var (block, tenant) in Blocks)
            Assert.True(ssd.Write(block, tenant, Length));
        ssd.Tier.Dispose();
        return (File.ReadAllBytes(Directory.GetFiles(ssd.Folder, "*.directory").Single()), File.ReadAllBytes(Directory.GetFiles(ssd.Folder, "*.data").Single()));
    }

    /// <summary>Blocks that are found with the right bytes; wrong bytes fail the test, as does a block under a foreign key.</summary>
    private static int CountReadable(byte[] directory, byte[] data)
    {
        var folder = Directory.CreateDirectory(Path.Combine(InMemory, $"kvssd-{Guid.NewGuid():N}")).FullName;
        File.WriteAllBytes(Path.Combine(folder, "0000000000000000.directory"), directory);
        File.WriteAllBytes(Path.Combine(folder, "0000000000000000.data"), data);
        using var ssd = new SsdHarness(SegmentBudget, folder);
        return Blocks.Count(block => ssd.Reads(block.Block, block.Tenant, Length));
    }
}
