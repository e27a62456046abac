using System.Globalization;
using Moebius.Kvcache.V1;

namespace Moebius.Inference.KvClient;

/// <summary>The answer to a lookup, whichever way it came.</summary>
/// <param name="Lease">What pins the blocks; never 0.</param>
/// <param name="Slots">Slots of the leading blocks.</param>
internal sealed record FoundBlocks(ulong Lease, uint[] Slots)
{
    public static FoundBlocks Of(LookupResponse response) => new(
        ulong.TryParse(response.Lease, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var lease) ? lease : 0,
        [.. response.Blocks.Select(static slot => slot.Index)]);

    /// <summary>The call that ends the lease.</summary>
    public ReleaseRequest Release => new() { Lease = Lease.ToString("x16", CultureInfo.InvariantCulture) };
}
