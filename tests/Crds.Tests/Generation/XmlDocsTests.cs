using System.Xml.Linq;
using Moebius.Crds.Generation;

namespace Moebius.Crds.Tests.Generation;

public sealed class XmlDocsTests
{
    [Theory]
    [InlineData("One\n   line.", "One line.")]
    [InlineData("First.\n\n   Second.", "First.\n\nSecond.")]
    [InlineData("First.<para>Second.</para>", "First.\n\nSecond.")]
    [InlineData("As in <c>1h30m</c>.", "As in `1h30m`.")]
    [InlineData("A <see cref=\"T:Moebius.Crds.V1Alpha1.KVPrivacyPolicy\"/>.", "A KVPrivacyPolicy.")]
    [InlineData("See <see cref=\"P:Moebius.Crds.V1Alpha1.MoEDeploymentSpec.KVCache\" />.", "See kvCache.")]
    [InlineData("Is <see langword=\"true\"/> or <see href=\"https://x\">this</see>.", "Is true or this.")]
    [InlineData("<list type=\"bullet\"><item><description>a</description></item><item>b</item></list>", "a\n\nb")]
    public void Markup_becomes_plain_text(string summary, string expected) =>
        Assert.Equal(expected, XmlDocs.Flatten(XElement.Parse($"<summary>{summary}</summary>", LoadOptions.PreserveWhitespace)));
}
