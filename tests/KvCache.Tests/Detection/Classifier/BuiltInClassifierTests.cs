using Moebius.KvCache.Detection.Classifier.BuiltIn;
using Moebius.KvCache.Training;

namespace Moebius.KvCache.Tests.Detection.Classifier;

public sealed class BuiltInClassifierTests
{
    private static readonly ClassifierModel Model = ClassifierModel.Load();
    private static readonly NameBank Bank = new(1);

    [Fact]
    public void Names_and_addresses_that_training_never_saw_are_found()
    {
        var classifier = new BuiltInClassifier(Model);
        var texts = Corpora.HeldOutPrivate(Bank, perTemplate: 20, seed: 2);
        foreach (var group in texts.GroupBy(text => text.Labels[0].Class))
        {
            var scores = Scores.Of(classifier, [.. group.Select(text => text.Text)]);
            Assert.True(group.Key == WordClass.Statement || scores.Private >= 0.9, $"{group.Key}: {scores}");
        }
    }

    [Fact]
    public void Instructions_and_prose_that_training_never_saw_are_left_alone()
    {
        var classifier = new BuiltInClassifier(Model);
        var harmless = Scores.Of(classifier, [.. Corpora.HeldOutPublic(Bank, perTemplate: 10, seed: 3).Select(text => text.Text)]);
        Assert.True(harmless.Private <= 0.1, harmless.ToString());
        var prose = Scores.Of(classifier, [.. Corpora.Prose(Path.Combine(AppContext.BaseDirectory, "Data"), Corpora.TrainingShare, 1)]);
        Assert.True(prose.Private <= 0.1, prose.ToString());
    }

    [Theory]
    [InlineData("My name is Marianne Oldfield and I need help.", "Name", "Marianne Oldfield")]
    [InlineData("Мy nаme is Marianne Оldfield and I need help.", "Name", "Marianne Оldfield")]
    [InlineData("I live at 12 Thornbury Crescent, Millfield.", "Address", "12 Thornbury Crescent")]
    public void A_span_has_its_kind_and_its_characters(string text, string kind, string expected)
    {
        var classifier = new BuiltInClassifier(Model);
        var score = classifier.Score(text);
        Assert.True(score.Probability > 0.7, score.ToString());
        Assert.Contains(score.Spans, span => span.Kind == kind && text[span.Start..span.End].Contains(expected, StringComparison.Ordinal));
    }

    [Fact]
    public void A_language_that_it_does_not_know_is_left_to_the_next_tier()
    {
        var classifier = new BuiltInClassifier(Model);
        Assert.InRange(classifier.Score("Az ősz szépsége megnyugtatja azt, aki lassan sétál.").Probability, 0.3, 1);
    }

    [Fact]
    public void The_same_recipe_gives_the_same_weights()
    {
        var data = Path.Combine(AppContext.BaseDirectory, "Data");
        Assert.Equal(Train(), Train());

        byte[] Train()
        {
            var bank = new NameBank(5, draws: 100);
            // A tenth has passages of every kind.
            var texts = Corpora.Training(bank, data, perTemplate: 1, seed: 6).Where((_, at) => at % 10 == 0).ToArray();
            Assert.Equal(Enum.GetValues<WordClass>().Where(kind => kind != WordClass.None), texts.SelectMany(text => text.Labels).Select(label => label.Class).Distinct().Order());
            using var file = new MemoryStream();
            Trainer.Train(texts, LexiconBuilder.Build(texts, bank), 7).Save(file);
            return file.ToArray();
        }
    }
}
