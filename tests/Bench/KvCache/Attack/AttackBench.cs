using System.Globalization;
using Moebius.KvCache.Service;

namespace Moebius.Bench.KvCache.Attack;

/// <summary>
/// A guessing adversary of the best kind: it sees hit and miss themselves, knows everything of a victim's prompt but the
/// secret, and guesses that character by character among a victim's alphabet. A real server on a real socket for each
/// way of sharing.
/// </summary>
internal static class AttackBench
{
    private const int Secrets = 1000;
    private const int Seed = 17;
    private const int Slots = 1 << 18;
    private const int BlockBytes = 64;
    private const int Attackers = 4;

    private static readonly (string Name, string Spec)[] Ways =
    [
        ("Share", "mode: Share"),
        ("Isolate", "mode: Isolate"),
        ("SafeKV, rules and declarations", "mode: SafeKV"),
        ("SafeKV, built-in classifier", "mode: SafeKV\n  classifier: {type: BuiltIn}"),
    ];

    public static async Task RunAsync()
    {
        var victims = Victim.Take(Secrets, Seed);
        Report.Title(
            $"Secrets recovered by an adversary that sees hit and miss ({victims.Count} secrets, guessed character by character)",
            ["mode", "recovered", .. Kinds(victims).Select(kind => $"{kind} of {victims.Count(victim => victim.Kind == kind)}"), "lookups", "mitigated of what Share leaks", "bar", ""]);
        var shared = 0;
        var bars = new List<(string, double)>();
        foreach (var (name, spec) in Ways)
        {
            var (recovered, lookups) = await AttackAsync(spec, victims);
            if (name == "Share")
                shared = recovered.Count;
            var mitigated = 100.0 * (shared - recovered.Count) / Math.Max(1, shared);
            var ruled = recovered.Count(victim => victim.Kind == "rules");
            Report.Row(
                [name, Text(recovered.Count), .. Kinds(victims).Select(kind => Text(recovered.Count(victim => victim.Kind == kind))), Text(lookups), mitigated.ToString("F1", CultureInfo.InvariantCulture) + "%",
                name.StartsWith("SafeKV", StringComparison.Ordinal) ? ">= 97%, 0 by rules" : "",
                name.StartsWith("SafeKV", StringComparison.Ordinal) ? mitigated >= 97 && ruled == 0 ? "met" : "NOT met" : ""]);
            bars.Add((name, 100.0 * recovered.Count / victims.Count));
        }

        BarChart.Save("kvcache-attack.svg", $"Secrets recovered by an adversary that sees hit and miss, % of {victims.Count}", bars);
    }

    private static async Task<(List<Victim> Recovered, int Lookups)> AttackAsync(string spec, List<Victim> victims)
    {
        var folder = Directory.CreateTempSubdirectory("moebius-attack-");
        try
        {
            var policy = Path.Combine(folder.FullName, "policy.yaml");
            await File.WriteAllTextAsync(policy, $"apiVersion: moebius.dev/v1alpha1\nkind: KVPrivacyPolicy\nmetadata: {{name: attack}}\nspec:\n  {spec}\n  publicPrefixes: [{{name: shop, text: \"{Victim.System.Replace("\n", "\\n", StringComparison.Ordinal)}\"}}]\n  promotion: {{maxDelay: 1ms}}\n");
            var options = new ServerOptions { SocketPath = Path.Combine(folder.FullName, "s"), ArenaPath = Path.Combine(folder.FullName, "a"), ArenaBytes = Slots * (BlockBytes + 8L), PolicyPath = policy };
            await using var server = await KvCacheServer.StartAsync(options, TimeProvider.System, CancellationToken.None);
            using (var engine = await CacheClient.ConnectAsync(options.SocketPath, BlockBytes))
            {
                for (var number = 0; number < victims.Count; number++)
                    await engine.CacheAsync($"victim-{number}", victims[number].Prompt);
                while (server.Store.PendingClassifications > 0)
                    await Task.Delay(20);
            }

            var recovered = new List<Victim>();
            var (next, lookups) = (-1, 0);
            await Task.WhenAll(Enumerable.Range(0, Attackers).Select(attacker => Task.Run(async () =>
            {
                using var client = await CacheClient.ConnectAsync(options.SocketPath, BlockBytes);
                while (Interlocked.Increment(ref next) is var number && number < victims.Count)
                {
                    var (found, asked) = await GuessAsync(client, $"attacker-{attacker}", victims[number]);
                    Interlocked.Add(ref lookups, asked);
                    if (found)
                    {
                        lock (recovered)
                            recovered.Add(victims[number]);
                    }
                }
            })));
            return (recovered, lookups);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>Guesses from the first character of the secret on; gives up where no guess is a hit.</summary>
    private static async Task<(bool Found, int Lookups)> GuessAsync(CacheClient client, string attacker, Victim victim)
    {
        var lookups = 0;
        var known = victim.Prompt[..victim.Start];
        while (known.Length < victim.End)
        {
            var truth = victim.Prompt[known.Length];
            var hit = false;
            foreach (var guess in Alphabet(truth))
            {
                lookups++;
                var text = known + guess;
                if (await client.HitsAsync(attacker, text) != text.EnumerateRunes().Count())
                    continue;
                (known, hit) = (text, true);
                break;
            }

            if (!hit)
                return (false, lookups);
        }

        return (known == victim.Prompt[..victim.End], lookups);
    }

    /// <summary>What the adversary takes into account: the form of a secret is known, its characters are not.</summary>
    private static IEnumerable<string> Alphabet(char truth)
    {
        if (char.IsAsciiDigit(truth))
            return "0123456789".Select(character => character.ToString());
        if (char.IsAsciiLetterLower(truth))
            return "etaoinshrdlcumwfgypbvkjxqz".Select(character => character.ToString());
        if (char.IsAsciiLetterUpper(truth))
            return "SMACBTPRHDEGLKJNFIWOVUYZQX".Select(character => character.ToString());
        return [truth.ToString()];
    }

    private static IEnumerable<string> Kinds(List<Victim> victims) => victims.Select(victim => victim.Kind).Distinct();

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
