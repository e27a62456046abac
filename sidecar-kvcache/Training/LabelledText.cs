using Moebius.KvCache.Detection.Classifier.BuiltIn;

namespace Moebius.KvCache.Training;

/// <summary>A passage with what in it is private.</summary>
/// <param name="Text">The passage.</param>
/// <param name="Labels">Stretches of it, in order; empty: harmless.</param>
internal sealed record LabelledText(string Text, IReadOnlyList<Label> Labels);

/// <summary>A private stretch.</summary>
internal readonly record struct Label(WordClass Class, int Start, int End);
