namespace Moebius.KvCache.Detection.Classifier.BuiltIn;

/// <summary>What the model knows of single words. A word that is not common says only by its looks what it is.</summary>
/// <param name="Common">Words of the training texts that are nobody's name.</param>
/// <param name="FirstNames">Given names.</param>
/// <param name="LastNames">Family names.</param>
/// <param name="Places">Words of streets and towns.</param>
internal sealed record Lexicon(WordSet Common, WordSet FirstNames, WordSet LastNames, WordSet Places)
{
    public Lexicon(BinaryReader reader)
        : this(new WordSet(reader), new WordSet(reader), new WordSet(reader), new WordSet(reader))
    {
    }

    public void Save(BinaryWriter writer)
    {
        foreach (var set in (ReadOnlySpan<WordSet>)[Common, FirstNames, LastNames, Places])
            set.Save(writer);
    }
}
