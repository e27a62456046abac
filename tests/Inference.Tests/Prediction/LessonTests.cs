using Moebius.Inference.Prediction;

namespace Moebius.Inference.Tests.Prediction;

public class LessonTests
{
    [Fact]
    public void The_truth_of_a_row_is_what_its_own_token_used()
    {
        var model = new LinearGate(1, 8);
        var lesson = new Lesson(2, 2);
        lesson.Begin(model, new TokenMemory(4, 8), due: 1, tokens: 4);
        for (var row = 0; row < 4; row++)
            lesson.Row(row, token: 10 + row, learned: row is 1 or 3)[0] = row;
        lesson.End([0, 1, 2, 3, 4, 5, 6, 7]);
        Assert.Equal((2, 11, 13), (lesson.Count, lesson.Token(0), lesson.Token(1)));
        Assert.Equal([2, 3], lesson.Chosen(0).ToArray());
        Assert.Equal([6, 7], lesson.Chosen(1).ToArray());
        Assert.Equal((1, 3), (lesson.Inputs(0)[0], lesson.Inputs(1)[0]));
    }
}
