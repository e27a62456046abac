using Moebius.Inference.Models;

namespace Moebius.Inference.Tests.Models;

public class LogitRowsTests
{
    [Fact]
    public void A_row_that_was_given_back_is_used_again_and_only_then()
    {
        var rows = new LogitRows(8);
        float[] first = rows.Take(), second = rows.Take();
        Assert.NotSame(first, second);
        rows.Return([first, [], new float[16]]);
        Assert.Same(first, rows.Take());
        Assert.Equal(8, rows.Take().Length);
    }

    [Fact]
    public void Only_so_many_are_kept()
    {
        var rows = new LogitRows(2);
        float[][] many = [.. Enumerable.Range(0, LogitRows.Most + 3).Select(_ => new float[2])];
        rows.Return(many);
        Assert.Equal(LogitRows.Most, Enumerable.Range(0, many.Length).Count(_ => many.Contains(rows.Take())));
    }

    [Fact]
    public void A_model_gives_the_same_logits_in_rows_that_were_used_before()
    {
        using var model = TestModels.Load(TestModels.Golden("mixtral"));
        float[] fresh = [.. Logits(out var row)];
        model.Return([row]);
        Array.Fill(row, float.NaN);
        Assert.Equal(fresh, Logits(out var again));
        Assert.Same(row, again);

        float[] Logits(out float[] result)
        {
            using var kv = model.CreateSequence();
            return result = model.Forward([new SequenceChunk(kv, new[] { 5, 6, 7 }, LogitsFor.Last)])[0];
        }
    }
}
