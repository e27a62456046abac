using System.Collections;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;

namespace Moebius.KvCache.Detection;

/// <summary>
/// Tier 1 (SafeKV, arXiv 2508.08438, section 4.1): fixed patterns and windowed expressions; a hit means private. The
/// text is read folded, and again with disguises taken off: numbers spelled out, characters set apart, escapes, base64
/// and hexadecimal digits.
/// The work is linear in the text's length.
/// </summary>
internal sealed class Detector
{
    private readonly BitArray _enabled;
    private readonly IReadOnlyList<WindowedExpression> _custom;

    private Detector(BitArray enabled, IReadOnlyList<WindowedExpression> custom)
    {
        _enabled = enabled;
        _custom = custom;
    }

    /// <exception cref="UserInputException">An expression that is not valid or not linear; the message names it.</exception>
    public static Detector Create(RuleSpec rules, string field)
    {
        var enabled = new BitArray(Enum.GetValues<SecretKind>().Length, true);
        foreach (var kind in rules.Disabled ?? [])
            enabled[(int)kind] = false;
        var custom = (rules.Custom ?? []).Select((rule, index) => new WindowedExpression(rule.Name, RuleExpression.Compile(rule, $"{field}.custom[{index}]"))).ToList();
        return new Detector(enabled, custom);
    }

    /// <summary>All findings, in the order of their start.</summary>
    public IReadOnlyList<Finding> Scan(string text)
    {
        var sink = new FindingSink(_enabled);
        var view = ScanView.Fold(text);
        new RuleScanner(view, sink).Scan();
        if (SpokenNumbers.Rewrite(view) is { } spoken)
            new RuleScanner(spoken, sink).Scan();
        if (SpacedCharacters.Rewrite(view, sink) is { } joined)
            new RuleScanner(joined, sink).Scan();
        if (EncodedText.Unescape(view) is { } unescaped)
            new RuleScanner(unescaped, sink).Scan();
        if (EncodedText.Decode(view) is { } decoded)
            new RuleScanner(decoded, sink).Scan();
        var isFolded = _custom.Count > 0 && !view.Written.AsSpan(0, view.Length).SequenceEqual(text);
        foreach (var expression in _custom)
        {
            expression.Scan(text, sink);
            if (isFolded)
                expression.Scan(view, sink);
        }

        return sink.ToList();
    }
}
