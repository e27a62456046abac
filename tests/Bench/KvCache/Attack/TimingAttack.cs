using System.Globalization;

namespace Moebius.Bench.KvCache.Attack;

/// <summary>
/// A guessing adversary on the real thing: it sends prompts to a real server with a real sidecar, and all it has is the
/// time to the first token. A victim's secret is a choice of passages; the adversary tries each choice for the next
/// passage and believes the one that was answered first.
/// </summary>
internal static class TimingAttack
{
    private const int Secrets = 24;
    private const int Steps = 3;
    private const int Choices = 4;
    private const int PassageLetters = 400;

    /// <summary>Isolated tenants still have one store of experts, where these do not all fit into memory.</summary>
    private static readonly (string Name, string Mode, string[] Serve)[] Modes =
    [
        ("Share", "Share", []), ("Isolate", "Isolate", []), ("SafeKV", "SafeKV", []),
        ("Isolate, memory for half of the experts", "Isolate", ["--expert-budget", "6Mi"]),
    ];

    public static async Task RunAsync()
    {
        var prose = await File.ReadAllTextAsync(Path.Combine(RepositoryFiles.Root, "tests", "KvCache.Tests", "Data", "austen.txt"));
        Report.Title(
            $"Secrets recovered through the time to the first token ({Secrets} secrets of {Steps} passages, {Choices} choices for each; blind guessing gets {100.0 / Choices:F0}% of the steps)",
            "mode", "steps guessed", "secrets recovered", "requests");
        var bars = new List<(string, double)>();
        foreach (var (name, mode, serve) in Modes)
        {
            await using var server = await ChatMode.StartAsync(mode, ["You are an assistant."], serve);
            for (var warm = 0; warm < 6; warm++)
                await server.SendAsync("warm-up", [("user", Passage(prose, 300 + warm) + Passage(prose, 310 + warm))], 1);
            var (steps, whole, requests) = (0, 0, 0);
            for (var secret = 0; secret < Secrets; secret++)
            {
                var random = new Random(secret);
                var options = Enumerable.Range(0, Steps * Choices).Select(number => Passage(prose, (secret * Steps * Choices) + number)).ToArray();
                var truth = Enumerable.Range(0, Steps).Select(_ => random.Next(Choices)).ToArray();
                await server.SendAsync($"victim-{secret}", [("user", string.Concat(truth.Select((choice, step) => options[(step * Choices) + choice])))], 1);
                var (known, right) = ("", 0);
                for (var step = 0; step < Steps; step++)
                {
                    var times = new double[Choices];
                    // In an order that has nothing to do with the truth.
                    var order = Enumerable.Range(0, Choices).ToArray();
                    random.Shuffle(order);
                    foreach (var choice in order)
                    {
                        times[choice] = (await server.SendAsync($"attacker-{secret}-{step}-{choice}", [("user", known + options[(step * Choices) + choice])], 1)).FirstToken;
                        requests++;
                    }

                    right += Array.IndexOf(times, times.Min()) == truth[step] ? 1 : 0;
                    // It is told the truth after each step: the next one is not spoilt by a wrong guess.
                    known += options[(step * Choices) + truth[step]];
                }

                steps += right;
                whole += right == Steps ? 1 : 0;
            }

            Report.Row(name, Percent(steps, Secrets * Steps), Percent(whole, Secrets), requests.ToString(CultureInfo.InvariantCulture));
            bars.Add((name, 100.0 * steps / (Secrets * Steps)));
        }

        BarChart.Save("kvcache-timing-attack.svg", $"Steps guessed through the time to the first token, % (blind: {100 / Choices})", bars);
    }

    private static string Passage(string prose, int number) => prose.Substring(number * PassageLetters % (prose.Length - PassageLetters), PassageLetters);

    private static string Percent(int part, int whole) => (100.0 * part / whole).ToString("F0", CultureInfo.InvariantCulture) + "%";
}
