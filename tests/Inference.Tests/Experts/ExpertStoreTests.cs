using Moebius.Inference.Experts;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Tests.Experts;

public class ExpertStoreTests
{
    [Theory]
    [InlineData(8, 4, true)]
    [InlineData(8, 5, false)]
    [InlineData(9, 4, true)]
    [InlineData(9, 5, false)]
    [InlineData(12, 6, true)]
    [InlineData(100, 6, true)] // there are no more buffers than experts
    [InlineData(100, 7, false)]
    public void A_layer_keeps_at_most_half_of_the_buffers(int buffers, int experts, bool holds)
    {
        var layout = new ExpertLayout(64, 16, WeightFormat.Float32, false);
        var catalog = new ExpertCatalog(layout, [[.. Enumerable.Repeat<IReadOnlyList<ExpertRead>>([], 12)]], 2);
        using var store = new ExpertStore(catalog, new Unread(), buffers * layout.Bytes, 1, 1, "a model");
        Assert.Equal(holds, store.CanHold(experts));
    }

    private sealed class Unread : IExpertSource
    {
        public string Description => "nothing";

        public long Read(ExpertKey key, Span<byte> buffer) => throw new NotSupportedException();

        public void Dispose()
        {
        }
    }
}
