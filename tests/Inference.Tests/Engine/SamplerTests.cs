using Moebius.Inference.Engine;
using Moebius.Inference.Text;

namespace Moebius.Inference.Tests.Engine;

public class SamplerTests
{
    private static readonly float[] Logits = [1, 3, 2, -1, 2.5f];

    [Fact]
    public void Zero_temperature_takes_the_largest() => Assert.Equal(1, Choose(new() { Temperature = 0 }));

    [Theory]
    [InlineData(2, 1.0, 0.0, new[] { 1, 4 })]
    [InlineData(0, 0.5, 0.0, new[] { 1, 4 })]
    [InlineData(0, 0.2, 0.0, new[] { 1 })]
    [InlineData(0, 1.0, 0.5, new[] { 1, 4 })]
    [InlineData(0, 1.0, 0.0, new[] { 0, 1, 2, 3, 4 })]
    public void Filters_leave_exactly_these(int topK, double topP, double minP, int[] possible)
    {
        var sampler = new Sampler(new() { TopK = topK, TopP = topP, MinP = minP, Seed = 1 }, []);
        var seen = Enumerable.Range(0, 3000).Select(_ => sampler.Next((float[])Logits.Clone()).Chosen.Token).ToHashSet();
        Assert.Equal(possible, seen.Order());
    }

    [Theory]
    [InlineData(1.0)]
    [InlineData(0.95)]
    [InlineData(0.8)]
    [InlineData(0.7)]
    [InlineData(0.3)]
    public void Frequencies_follow_the_softmax_of_what_may_be_drawn(double topP)
    {
        float[] logits = [.. Enumerable.Range(0, 150).Select(i => 3 * MathF.Sin(i * 0.7f)), .. Logits];
        int[] sorted = [.. Enumerable.Range(0, logits.Length).OrderByDescending(i => logits[i])];
        double all = sorted.Sum(i => Math.Exp(logits[i])), kept = 0;
        var nucleus = 0;
        while (nucleus < sorted.Length && kept < topP * all)
            kept += Math.Exp(logits[sorted[nucleus++]]);
        var sampler = new Sampler(new() { TopP = topP, Seed = 7 }, []);
        var counts = new int[logits.Length];
        const int Draws = 40_000;
        for (var i = 0; i < Draws; i++)
            counts[sampler.Next((float[])logits.Clone()).Chosen.Token]++;
        for (var i = 0; i < sorted.Length; i++)
        {
            var expected = i < nucleus ? Math.Exp(logits[sorted[i]]) / kept : 0;
            Assert.Equal(expected, counts[sorted[i]] / (double)Draws, 5 * Math.Sqrt(expected / Draws));
        }
    }

    [Fact]
    public void Penalties_and_biases_move_the_choice()
    {
        var presence = new Sampler(new() { Temperature = 0, PresencePenalty = 2 }, []);
        Assert.Equal([1, 4, 2], Enumerable.Range(0, 3).Select(_ => presence.Next((float[])Logits.Clone()).Chosen.Token));
        Assert.Equal(4, new Sampler(new() { Temperature = 0, RepetitionPenalty = 2 }, [1]).Next((float[])Logits.Clone()).Chosen.Token);
        // Of what the output has as well as of the prompt.
        var repetition = new Sampler(new() { Temperature = 0, RepetitionPenalty = 2 }, []);
        Assert.Equal([1, 4, 2, 1], Enumerable.Range(0, 4).Select(_ => repetition.Next((float[])Logits.Clone()).Chosen.Token));
        Assert.Equal(3, Choose(new() { Temperature = 0, LogitBias = new Dictionary<int, float> { [3] = 50, [99] = 100 } }));
        var frequency = new Sampler(new() { Temperature = 0, FrequencyPenalty = 0.3 }, []);
        Assert.Equal([1, 1, 4], Enumerable.Range(0, 3).Select(_ => frequency.Next((float[])Logits.Clone()).Chosen.Token));
    }

    [Fact]
    public void Logprobs_are_those_of_the_model_before_any_change()
    {
        var chosen = new Sampler(new() { Temperature = 0, Logprobs = 2, LogitBias = new Dictionary<int, float> { [3] = 50 } }, []).Next((float[])Logits.Clone());
        var sum = Math.Log(Logits.Sum(logit => Math.Exp(logit)));
        Assert.Equal(-1 - sum, chosen.Chosen.Logprob, 1e-5);
        Assert.Equal([1, 4], chosen.Top.Select(token => token.Token));
        Assert.Equal(3 - sum, chosen.Top[0].Logprob, 1e-5);
    }

    [Fact]
    public void A_logit_that_is_no_number_leaves_the_others_their_logprobs()
    {
        var chosen = new Sampler(new() { Temperature = 0, Logprobs = 1 }, []).Next(new[] { 1, float.NaN, 2 });
        Assert.Equal(2, chosen.Chosen.Token);
        Assert.Equal(2 - Math.Log(Math.Exp(1) + Math.Exp(2)), chosen.Chosen.Logprob, 1e-5);
    }

    [Fact]
    public void Logits_without_a_number_are_an_error() =>
        Assert.Throws<InvalidDataException>(() => new Sampler(new(), []).Next(new float[] { float.NaN, float.NaN }));

    // Published: a seed's choices must not change between versions.
    [Fact]
    public void A_seed_is_a_promise()
    {
        var sampler = new Sampler(new() { Seed = 1234 }, []);
        Assert.Equal([4, 2, 1, 1, 4, 2, 1, 1, 1, 4], Enumerable.Range(0, 10).Select(_ => sampler.Next((float[])Logits.Clone()).Chosen.Token));
    }

    [Property(MaxTest = 300)]
    public void Stop_texts_are_found_at_any_cut(byte[] cuts)
    {
        const string Output = "aab aabb abab aab-stop-rest";
        var stop = new StopText(["-stop", "zz"]);
        var text = "";
        var from = 0;
        foreach (var cut in (cuts ?? []).Select(cut => (cut % 5) + 1).Append(Output.Length))
        {
            var length = Math.Min(cut, Output.Length - from);
            var (more, stopped) = stop.Append(Output.Substring(from, length));
            text += more;
            from += length;
            if (stopped)
                break;
        }

        Assert.Equal("aab aabb abab aab", text);
    }

    [Theory]
    [InlineData("abcd", "c", "xabcd", "xab")]
    [InlineData("abcd", "cd", "xabcd", "x")]
    [InlineData("aab", "aaac", "aaaab", "aa")]
    [InlineData("abab!", "ba", "ababab!", "a")]
    [InlineData("ababc", "zz", "abababcx", "ab")]
    public void The_first_stop_that_is_whole_ends_the_text_however_it_is_cut(string one, string other, string text, string expected)
    {
        for (var cuts = 0; cuts < 1 << (text.Length - 1); cuts++)
        {
            var stop = new StopText([one, other]);
            var said = "";
            var from = 0;
            var stopped = false;
            for (var to = 1; to <= text.Length && !stopped; to++)
            {
                if (to < text.Length && (cuts >> (to - 1) & 1) == 0)
                    continue;
                (var more, stopped) = stop.Append(text[from..to]);
                said += more;
                from = to;
            }

            Assert.Equal((expected, true), (said, stopped));
        }
    }

    [Fact]
    public void Text_held_for_a_stop_that_never_came_is_output()
    {
        var stop = new StopText(["abc"]);
        Assert.Equal(("x", false), stop.Append("xab"));
        Assert.Equal("ab", stop.Finish());
    }

    [Property(MaxTest = 200)]
    public void Text_comes_whole_from_bytes_one_by_one(string? text)
    {
        var bytes = System.Text.Encoding.UTF8.GetBytes(text ?? "");
        var stream = new Utf8Stream();
        Assert.Equal(System.Text.Encoding.UTF8.GetString(bytes), string.Concat(bytes.Select(value => stream.Append([value]))) + stream.Finish());
    }

    private static int Choose(SamplingSettings settings) => new Sampler(settings, []).Next((float[])Logits.Clone()).Chosen.Token;
}
