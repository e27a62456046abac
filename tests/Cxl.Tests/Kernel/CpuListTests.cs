using FsCheck;
using FsCheck.Fluent;
using Moebius.Cxl.Kernel;

namespace Moebius.Cxl.Tests.Kernel;

public class CpuListTests
{
    [Property]
    public Property A_list_reads_back_as_it_was() =>
        Prop.ForAll(Gen.Choose(0, 200).ListOf().ToArbitrary(), numbers =>
            CpuList.TryParse(CpuList.Format(numbers))!.SequenceEqual(numbers.Order().Distinct()));

    [Theory]
    [InlineData("1-")]
    [InlineData("-1")]
    [InlineData("a")]
    [InlineData("0-99999999")]
    public void Nonsense_is_no_list(string text) => Assert.Null(CpuList.TryParse(text));
}
