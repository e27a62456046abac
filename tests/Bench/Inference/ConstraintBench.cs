using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Moebius.Inference.Constraints;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Bench.Inference;

/// <summary>What it costs to keep an output to a schema: to compile it, and before each token; beside a test of every token's bit.</summary>
internal static class ConstraintBench
{
    private const int Repeats = 5;
    private const int Outputs = 10;
    private const int MostTokens = 100;

    private static readonly (string Name, string Schema)[] Schemas =
    [
        ("record", """{"type":"object","properties":{"title":{"type":"string","maxLength":40},"year":{"type":"integer","minimum":1800,"maximum":1999},"kind":{"enum":["novel","letter","essay"]},"tags":{"type":"array","items":{"type":"string","maxLength":12},"maxItems":4}},"required":["title","year","kind","tags"],"additionalProperties":false}"""),
        ("tree", """{"type":"object","properties":{"value":{"type":"integer"},"children":{"type":"array","maxItems":2,"items":{"$ref":"#"}}},"required":["value"],"additionalProperties":false}"""),
    ];

    /// <summary>Large ones that somebody may mean, and some that are made to take long.</summary>
    private static readonly (string Name, string Schema)[] Heavy =
    [
        ("500 properties", $"{{\"type\":\"object\",\"properties\":{{{Listed(500, i => $"\"property_{i}\":{{\"type\":[\"string\",\"integer\"]}}")}}},\"required\":[{Listed(500, i => $"\"property_{i}\"")}]}}"),
        ("1000 texts", $"{{\"enum\":[{Listed(1000, i => $"\"{i * 7919 % 1009} of them\"")}]}}"),
        ("20 objects", AnyOf(20, i => $"{{\"type\":\"object\",\"properties\":{{\"kind\":{{\"const\":\"kind{i}\"}},\"text\":{{\"type\":\"string\",\"maxLength\":{i + 40}}}}},\"required\":[\"kind\",\"text\"],\"additionalProperties\":false}}")),
        ("20 lengths", AnyOf(20, i => $"{{\"type\":\"string\",\"maxLength\":{i + 100}}}")),
        ("150 lengths", AnyOf(150, i => $"{{\"type\":\"string\",\"maxLength\":{i + 100}}}")),
        ("100 lists", AnyOf(100, i => $"{{\"type\":\"array\",\"maxItems\":{i + 5},\"items\":{{\"type\":\"string\",\"maxLength\":{i + 100}}}}}")),
        ("150 numbers", AnyOf(150, i => $"{{\"type\":\"integer\",\"minimum\":{i},\"maximum\":{1_000_000_007L * (i + 1)}}}")),
    ];

    private static string AnyOf(int count, Func<int, string> item) => $"{{\"type\":\"array\",\"minItems\":1,\"items\":{{\"anyOf\":[{Listed(count, item)}]}}}}";

    private static string Listed(int count, Func<int, string> item) => string.Join(',', Enumerable.Range(0, count).Select(item));

    public static void Run()
    {
        RunOrdinary();
        RunHeavy();
    }

    private static void RunHeavy()
    {
        const int Vocabulary = 151_936;
        var tokenizer = ConstraintBench.Vocabulary(Vocabulary);
        var trie = new TokenTrie(tokenizer, Vocabulary);
        Report.Title($"What one place of a large schema may take, one thread, vocabulary {Vocabulary} (one output of 25 random fitting tokens, {Repeats} times)", "schema", "compiled, ms", "median of new places, ms", "slowest, ms");
        foreach (var (name, schema) in Heavy)
        {
            using var document = JsonDocument.Parse(schema);
            var (compiled, middle, slowest) = (new List<double>(), new List<double>(), new List<double>());
            for (var repeat = -1; repeat < Repeats; repeat++)
            {
                var random = new Random(1);
                var start = Stopwatch.GetTimestamp();
                var constraint = new OutputConstraint(new OutputGrammar(JsonSchemaCompiler.Compile(document.RootElement), trie), new HashSet<int>());
                var made = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
                var places = new List<double>();
                var logits = new float[Vocabulary];
                for (var i = 0; i < 25 && !constraint.Finished; i++)
                {
                    Array.Clear(logits);
                    start = Stopwatch.GetTimestamp();
                    constraint.Restrict(logits);
                    places.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
                    var fitting = Enumerable.Range(0, Vocabulary).Where(token => logits[token] == 0).ToArray();
                    constraint.Accept(fitting[random.Next(fitting.Length)]);
                }

                // The first one warms up.
                if (repeat < 0)
                    continue;
                compiled.Add(made);
                middle.Add(places.Order().ElementAt(places.Count / 2));
                slowest.Add(places.Max());
            }

            Report.Row(name, Spread.Of(compiled).Text("F2"), Spread.Of(middle).Text("F2"), Spread.Of(slowest).Text("F1"));
        }
    }

    private static void RunOrdinary()
    {
        Report.Title($"Keeping an output to a schema, one thread ({Repeats} repeats of {Outputs} outputs of random fitting tokens)", "vocabulary", "schema", "compiled, us", "new place, us a token", "known place, us a token", "a test of each token, us", "ratio to known");
        foreach (var vocabulary in (ReadOnlySpan<int>)[4096, 151_936])
        {
            var tokenizer = Vocabulary(vocabulary);
            var trie = new TokenTrie(tokenizer, vocabulary);
            foreach (var (name, schema) in Schemas)
            {
                using var document = JsonDocument.Parse(schema);
                var (compiled, news, known, tested) = (new List<double>(), new List<double>(), new List<double>(), new List<double>());
                for (var repeat = -1; repeat < Repeats; repeat++)
                {
                    var spent = new TimeSpan[4];
                    var tokens = 0;
                    for (var seed = 0; seed < Outputs; seed++)
                        tokens += Output(document.RootElement, tokenizer, trie, seed, spent);
                    // The first one warms up.
                    if (repeat < 0)
                        continue;
                    compiled.Add(spent[0].TotalMicroseconds / Outputs);
                    news.Add(spent[1].TotalMicroseconds / tokens);
                    known.Add(spent[2].TotalMicroseconds / tokens);
                    tested.Add(spent[3].TotalMicroseconds / tokens);
                }

                Report.Row(vocabulary.ToString(CultureInfo.InvariantCulture), name, Spread.Of(compiled).Text("F0"), Spread.Of(news).Text("F0"), Spread.Of(known).Text("F1"), Spread.Of(tested).Text("F0"), Spread.Of(tested.Zip(known, (a, b) => a / b)).Text("F1", "x"));
            }
        }
    }

    /// <summary>One output. Adds what it took to compile, to find what fits, to rule out the rest again, and to do that token by token.</summary>
    /// <returns>Its tokens.</returns>
    private static int Output(JsonElement schema, Tokenizer tokenizer, TokenTrie trie, int seed, TimeSpan[] spent)
    {
        var random = new Random(seed);
        var start = Stopwatch.GetTimestamp();
        var constraint = new OutputConstraint(new OutputGrammar(JsonSchemaCompiler.Compile(schema), trie), new HashSet<int>());
        spent[0] += Stopwatch.GetElapsedTime(start);
        var logits = new float[trie.Vocabulary];
        var mask = new ulong[(trie.Vocabulary + 63) / 64];
        var tokens = 0;
        for (; tokens < MostTokens && !constraint.Finished; tokens++)
        {
            for (var part = 1; part <= 2; part++)
            {
                Array.Clear(logits);
                start = Stopwatch.GetTimestamp();
                constraint.Restrict(logits);
                spent[part] += Stopwatch.GetElapsedTime(start);
            }

            Array.Clear(mask);
            var fitting = new List<int>();
            for (var token = 0; token < logits.Length; token++)
            {
                if (logits[token] != 0)
                    continue;
                fitting.Add(token);
                mask[token >> 6] |= 1UL << (token & 63);
            }

            Array.Clear(logits);
            start = Stopwatch.GetTimestamp();
            for (var token = 0; token < logits.Length; token++)
            {
                if ((mask[token >> 6] & (1UL << (token & 63))) == 0)
                    logits[token] = float.NegativeInfinity;
            }

            spent[3] += Stopwatch.GetElapsedTime(start);
            constraint.Accept(fitting[random.Next(fitting.Count)]);
        }

        return tokens;
    }

    /// <summary>Every byte, and made-up words such as vocabularies have.</summary>
    private static Tokenizer Vocabulary(int count)
    {
        var random = new Random(1);
        const string Letters = "etaoinshrdlcumwfgypbvk    0123456789\":,{}[]._-";
        var bytes = Enumerable.Range(0, 256).Select(value => new[] { (byte)value }).ToList();
        while (bytes.Count < count)
            bytes.Add(Encoding.ASCII.GetBytes(random.GetItems<char>(Letters, random.Next(2, 9))));
        return new Tokenizer(null, null, null!, [], [.. bytes], [], []);
    }
}
