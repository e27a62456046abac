using System.Globalization;

namespace Moebius.KvCache.Training;

/// <summary>Lines of programs, configurations and logs: prompts are full of them, and nothing in them is private.</summary>
internal static class Code
{
    private static readonly string[] Nouns = "item user order index count result value node list map key buffer request response session cache file path line token block batch model config event task queue worker error timeout size width total".Split(' ');
    private static readonly string[] Verbs = "get set find load save parse build create delete update read write send fetch compute render validate merge split sort filter".Split(' ');
    private static readonly string[] Types = "int string bool float List<int> Dictionary<string,int> byte[] Task void double".Split(' ');

    public static string Line(Random random)
    {
        var (noun, other, verb) = (Pick(random, Nouns), Pick(random, Nouns), Pick(random, Verbs));
        return random.Next(14) switch
        {
            0 => $"public {Pick(random, Types)} {Pascal(verb)}{Pascal(noun)}({Pick(random, Types)} {other}) => {other}.{Pascal(noun)};",
            1 => $"for (int i = 0; i < {noun}.Length; i++) {other}[i] = {Number(random)};",
            2 => $"if ({noun} == null) throw new ArgumentException(nameof({noun}));",
            3 => $"def {verb}_{noun}({noun}, {other}=None):",
            4 => $"    return self.{noun}.{verb}({other})",
            5 => $"import {Pick(random, ["os", "sys", "json", "numpy as np", "torch", "asyncio", "logging"])}",
            6 => $"const {noun} = await {verb}{Pascal(other)}({noun}.id);",
            7 => $"SELECT {noun}_id, COUNT(*) FROM {other}s WHERE {noun} > {Number(random)} GROUP BY {noun};",
            8 => $"fn {verb}_{noun}(&self, {other}: usize) -> Option<u32> {{",
            9 => $"$ {Pick(random, ["ls -la", "cd src", "make test", "docker build .", "kubectl get pods -n default", "git rebase main", "npm install"])}",
            10 => $"assert {noun}.{other} == {Number(random)}, \"{noun} is wrong\"",
            11 => $"// {Pascal(verb)} the {noun} before the {other} is used.",
            12 => $"<div class=\"{noun}\"><span>{other}</span></div>",
            _ => $"var {noun} = new {Pascal(noun)}{Pascal(other)}({other}, {Number(random)});",
        };
    }

    public static string Setting(Random random) => random.Next(6) switch
    {
        0 => $"{Pick(random, Nouns)}: {Pick(random, ["true", "false", "null", "default", Number(random)])}",
        1 => $"{Pick(random, Nouns).ToUpperInvariant()}_{Pick(random, Nouns).ToUpperInvariant()}={Number(random)}",
        2 => $"\"{Pick(random, Nouns)}\": {{ \"{Pick(random, Nouns)}\": {Number(random)}, \"enabled\": true }},",
        4 => $"{Pick(random, Nouns)}: {Number(random)}{Pick(random, ["Mi", "Gi", "ms", "s", "m", "%", "px", "k"])}",
        3 => $"- name: {Pick(random, Nouns)}-{Pick(random, Nouns)}",
        _ => $"--{Pick(random, Nouns)}-{Pick(random, Nouns)} {Number(random)}",
    };

    public static string Log(Random random) =>
        $"2025-0{random.Next(1, 10)}-1{random.Next(10)} 12:0{random.Next(10)}:4{random.Next(10)} {Pick(random, ["INFO", "WARN", "ERROR", "DEBUG"])} {Pascal(Pick(random, Nouns))}{Pascal(Pick(random, Nouns))}: {Pick(random, Verbs)} {Pick(random, Nouns)} took {Number(random)} ms";

    private static string Number(Random random) => random.Next(1000).ToString(CultureInfo.InvariantCulture);

    private static string Pick(Random random, string[] words) => words[random.Next(words.Length)];

    private static string Pascal(string word) => char.ToUpperInvariant(word[0]) + word[1..];
}
