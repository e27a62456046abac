using System.Globalization;
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
    public const string System = "Be brief.\n";

    /// <summary>Half of them structured secrets, the others held-out free text: 30 % names, 10 % addresses, 10 % statements.</summary>
    public static List<Victim> Take(int count, int seed)
    {
        var source = new SecretSource(seed);
        var victims = source.Take(count / 2).Select((sample, number) =>
        {
            var mark = sample.Sentence.IndexOf("{0}", StringComparison.Ordinal);
            return Make("rules", number, source.Fill(sample.Sentence, sample.Secret), mark, mark + sample.Secret.Length);
        }).ToList();

        var texts = Corpora.HeldOutPrivate(new NameBank(seed), perTemplate: 40, seed).ToArray();
        new Random(seed).Shuffle(texts);
        foreach (var (kind, share) in (ReadOnlySpan<(string, double)>)[("Name", 0.3), ("Address", 0.1), ("Statement", 0.1)])
        {
            victims.AddRange(texts.Where(text => text.Labels.Any(label => label.Class.ToString() == kind)).Take((int)(count * share)).Select((text, number) =>
            {
                var label = text.Labels.First(label => label.Class.ToString() == kind);
                return Make(kind, victims.Count + number, text.Text, label.Start, label.End);
            }).ToList());
        }

        return victims;
    }

    /// <summary>Every prompt begins with a line of its own, which the adversary knows: it is after this victim and no other.</summary>
    private static Victim Make(string kind, int number, string text, int start, int end)
    {
        var head = string.Create(CultureInfo.InvariantCulture, $"{System}This is question {number} of the day.\n");
        return new Victim(kind, $"{head}{text}\nThank you.\n", head.Length + start, head.Length + end);
    }
}
