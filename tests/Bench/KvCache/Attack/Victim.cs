using Moebius.Bench.KvCache.Detection;
using Moebius.KvCache.Training;

namespace Moebius.Bench.KvCache.Attack;

/// <summary>A prompt with a secret in it.</summary>
/// <param name="Kind">rules: a secret that tier 1 promises to find; names, addresses, statements: free text.</param>
/// <param name="Prompt">What the victim sent.</param>
/// <param name="Start">Where the secret begins.</param>
/// <param name="End">Where it ends.</param>
internal sealed record Victim(string Kind, string Prompt, int Start, int End)
{
    public const string System = "You are the assistant of a shop. Answer briefly.\n";

    /// <summary>Half of them structured secrets, the others held-out free text: 30 % names, 10 % addresses, 10 % statements.</summary>
    public static List<Victim> Take(int count, int seed)
    {
        var source = new SecretSource(seed);
        var victims = source.Take(count / 2).Select(sample =>
        {
            var mark = sample.Sentence.IndexOf("{0}", StringComparison.Ordinal);
            var sentence = source.Fill(sample.Sentence, sample.Secret);
            return new Victim("rules", $"{System}{sentence}\nThank you.\n", System.Length + mark, System.Length + mark + sample.Secret.Length);
        }).ToList();

        var texts = Corpora.HeldOutPrivate(new NameBank(seed), perTemplate: 40, seed).ToArray();
        new Random(seed).Shuffle(texts);
        foreach (var (kind, share) in (ReadOnlySpan<(string, double)>)[("Name", 0.3), ("Address", 0.1), ("Statement", 0.1)])
        {
            victims.AddRange(texts.Where(text => text.Labels.Any(label => label.Class.ToString() == kind)).Take((int)(count * share)).Select(text =>
            {
                var label = text.Labels.First(label => label.Class.ToString() == kind);
                return new Victim(kind, $"{System}{text.Text}\nThank you.\n", System.Length + label.Start, System.Length + label.End);
            }));
        }

        return victims;
    }
}
