using System.Globalization;
using Moebius.Crds;
using Moebius.KvCache.Detection.Classifier.BuiltIn;
using Moebius.KvCache.Training;

// The recipe of the built-in classifier: everything is made from one seed, so the same sources give the same weights.
const int Seed = 20250812;
const int PerTemplate = 220;
try
{
    var wrong = args is [.., "--wrong", var count] ? int.Parse(count, CultureInfo.InvariantCulture) : 0;
    var output = args switch
    {
        ["train", var file, ..] => file,
        ["evaluate", ..] => null,
        _ => throw new UserInputException("use: train FILE (writes the weights), or evaluate (scores the weights in the program on held-out text); --wrong COUNT shows what was judged wrongly"),
    };
    var bank = new NameBank(Seed);
    ClassifierModel trained;
    if (output is not null)
    {
        var texts = Corpora.Training(bank, Repository.Prose, PerTemplate, Seed);
        trained = Trainer.Train(texts, LexiconBuilder.Build(texts, bank), Seed);
        await using var file = File.Create(output);
        trained.Save(file);
        Console.WriteLine($"{texts.Count} passages; {output}: {file.Length} bytes");
    }
    else
    {
        trained = ClassifierModel.Load();
    }

    Evaluation.Print(trained, bank, Repository.Prose, Seed, wrong);
    return 0;
}
catch (UserInputException error)
{
    await Console.Error.WriteLineAsync(error.Message);
    return 2;
}
