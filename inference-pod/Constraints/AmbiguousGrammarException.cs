namespace Moebius.Inference.Constraints;

/// <summary>A grammar has more readings of a text than can be followed. The fault of who wrote it, not of the model.</summary>
internal sealed class AmbiguousGrammarException(string message) : Exception(message);
