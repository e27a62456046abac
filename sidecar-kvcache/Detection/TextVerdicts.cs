using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

/// <summary>The verdict on a whole text. Pure.</summary>
internal static class TextVerdicts
{
    public const string Private = "private";
    public const string Public = "public";

    /// <summary>Nothing was found and nothing has cleared the text: it is kept private.</summary>
    public const string Uncertain = "uncertain";

    /// <param name="mode">Isolate shares nothing and Share everything, whatever is found.</param>
    /// <param name="findings">What the tiers found.</param>
    /// <param name="declared">Leading characters that are public by declaration.</param>
    /// <param name="length">Characters of the text.</param>
    /// <param name="cleared">A tier has read what is not declared and found it harmless.</param>
    public static string Decide(SharingMode mode, IReadOnlyList<Finding> findings, int declared, int length, bool cleared) => mode switch
    {
        SharingMode.Isolate => Private,
        SharingMode.Share => Public,
        _ when findings.Any(finding => finding.End > declared) => Private,
        _ when length > 0 && (declared == length || cleared) => Public,
        _ => Uncertain,
    };
}
