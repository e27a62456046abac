using Moebius.KvCache.Detection.Classifier;
using Moebius.KvCache.Detection.Classifier.BuiltIn;

namespace Moebius.KvCache.Training;

/// <summary>Texts to train on and texts to score with. Nothing of the second is in the first: other templates, other names, other locales, other pages.</summary>
internal static class Corpora
{
    /// <summary>Of each file of prose this much is for training, the rest for scoring.</summary>
    public const double TrainingShare = 0.7;

    // One in so many passages has a name where no template would put it.
    private const int MixedShare = 8;

    // There is little of it beside what templates make.
    private const int ProseCopies = 6;

    private static readonly string[] NonLatin = ["ru", "zh_CN", "ja", "ko"];

    /// <summary>Labelled passages for training, in random order.</summary>
    public static List<LabelledText> Training(NameBank bank, string dataFolder, int perTemplate, int seed)
    {
        var random = new Random(seed);
        var slots = new Slots(bank, heldOut: false, random);
        var texts = new List<LabelledText>();
        Fill(texts, Template.Read("private.train.txt"), slots, random, perTemplate);
        var harmless = texts.Count;
        Fill(texts, Template.Read("public.train.txt"), slots, random, perTemplate);
        Mix(texts, texts[harmless..], slots, random, texts.Count / MixedShare);
        var prose = Prose(dataFolder, 0, TrainingShare).Select(text => new LabelledText(text, [])).ToArray();
        for (var copy = 0; copy < ProseCopies; copy++)
            texts.AddRange(prose);
        var shuffled = texts.ToArray();
        random.Shuffle(shuffled);
        return [.. shuffled];
    }

    /// <summary>Private passages for scoring.</summary>
    public static List<LabelledText> HeldOutPrivate(NameBank bank, int perTemplate, int seed)
    {
        var random = new Random(seed);
        var texts = new List<LabelledText>();
        Fill(texts, Template.Read("private.heldout.txt"), new Slots(bank, heldOut: true, random), random, perTemplate);
        return texts;
    }

    /// <summary>Harmless passages for scoring: instructions, questions, code.</summary>
    public static List<LabelledText> HeldOutPublic(NameBank bank, int perTemplate, int seed)
    {
        var random = new Random(seed);
        var texts = new List<LabelledText>();
        Fill(texts, Template.Read("public.heldout.txt"), new Slots(bank, heldOut: true, random), random, perTemplate);
        return [.. texts.DistinctBy(text => text.Text)];
    }

    /// <summary>Sentences of public-domain prose, from a share of each file to another.</summary>
    public static IEnumerable<string> Prose(string folder, double from, double to)
    {
        foreach (var file in new[] { "austen.txt", "kjv.txt" })
        {
            var text = File.ReadAllText(Path.Combine(folder, file));
            var part = text[(int)(text.Length * from)..(int)(text.Length * to)];
            // Prose is wrapped: its lines are joined, as a prompt would have them, but for the empty ones.
            var joined = file == "austen.txt" ? part.Replace("\n\n", "\u0001", StringComparison.Ordinal).Replace('\n', ' ').Replace('\u0001', '\n') : part;
            foreach (var passage in Passages.Of(joined))
                yield return joined[passage.Start..passage.End];
        }
    }

    /// <summary>
    /// Puts names, and harmless proper nouns, in the place of any word of harmless passages: what is a name must show in
    /// the name too, not only in the sentences that templates have.
    /// </summary>
    private static void Mix(List<LabelledText> texts, List<LabelledText> harmless, Slots slots, Random random, int count)
    {
        string[] fillers = ["person", "person", "person", "figure", "company", "place"];
        for (var number = 0; number < count; number++)
        {
            var words = harmless[random.Next(harmless.Count)].Text.Split(' ');
            var slot = fillers[random.Next(fillers.Length)];
            slots.Choose(null);
            var filler = slots.Fill(slot);
            if (filler.Any(character => character >= 0x2E80))
                continue;
            var place = random.Next(words.Length);
            var start = words.Take(place).Sum(word => word.Length + 1);
            words[place] = filler;
            texts.Add(new LabelledText(string.Join(' ', words), slot == "person" ? [new Label(WordClass.Name, start, start + filler.Length)] : []));
        }
    }

    private static void Fill(List<LabelledText> texts, Template[] templates, Slots slots, Random random, int perTemplate)
    {
        foreach (var template in templates)
        {
            for (var round = 0; round < perTemplate; round++)
            {
                slots.Choose(template.Language);
                var text = template.Expand(slots, random);
                // Names of scripts without capitals inside Latin sentences are rare.
                if (template.Language is null && NonLatin.Contains(slots.Locale) && random.Next(3) > 0)
                {
                    slots.Choose("en");
                    text = template.Expand(slots, random);
                }

                texts.Add(text);
            }
        }
    }
}
