using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.KvCache.Detection;
using Moebius.KvCache.Detection.Classifier.Onnx;
using Moebius.KvCache.Policy;

namespace Moebius.KvCache.Tests.Detection.Classifier;

public sealed class OnnxClassifierTests : IDisposable
{
    private const string Labels = """{"id2label": {"0": "O", "1": "B-NAME", "2": "I-NAME"}}""";
    private static readonly string[] Vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "my", "name", "is", "jo", "##anna", "smith", ".", "[MASK]"];

    private readonly string _folder = Directory.CreateTempSubdirectory("onnx-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("vocab.txt")]
    [InlineData("tokenizer.json")]
    public void A_token_classifier_is_loaded_and_its_findings_have_their_characters(string tokenizer)
    {
        Write(tokenizer, "input_ids", "attention_mask", "token_type_ids");
        using var classifier = OnnxClassifier.Load(_folder);
        string[] passages = ["my name is joanna smith.", "my name is", "", "my name is joanna " + string.Join(' ', Enumerable.Repeat("name", 600)) + " smith"];
        var scores = classifier.Score(passages);

        Assert.Equal(passages.Length, scores.Count);
        Assert.True(scores[0].Probability > 0.9);
        var span = Assert.Single(scores[0].Spans);
        Assert.Equal(("NAME", "joanna smith"), (span.Kind, passages[0][span.Start..span.End]));
        Assert.True(scores[1].Probability < 0.1);
        Assert.Equal(0, scores[2].Probability);
        // More tokens than the model reads at once: nothing is left out.
        Assert.Equal(["joanna", "smith"], scores[3].Spans.Select(found => passages[3][found.Start..found.End]));
    }

    [Theory]
    [InlineData("model.onnx")]
    [InlineData("config.json")]
    [InlineData("vocab.txt")]
    public void What_another_model_in_the_same_place_cleared_is_not_trusted(string file)
    {
        Write("vocab.txt", "input_ids", "attention_mask");
        var spec = new KVPrivacyPolicySpec { Classifier = new ClassifierSpec { Type = ClassifierType.Onnx, Onnx = new OnnxClassifierSpec { Path = Path.GetFileName(_folder) } } };
        var before = Clearance();
        Assert.Equal(before, Clearance());
        // What is of no matter to what is found is of none here.
        File.WriteAllText(Path.Combine(_folder, "README.md"), "read me");
        Assert.Equal(before, Clearance());
        if (file == "model.onnx")
            File.WriteAllBytes(Path.Combine(_folder, file), TinyOnnx.Model(Table(Vocabulary.Length, 8), "input_ids", "attention_mask"));
        else
            File.AppendAllText(Path.Combine(_folder, file), "\n");
        Assert.NotEqual(before, Clearance());

        // As after a restart: the model is loaded anew.
        string Clearance()
        {
            var policy = new TierFactory(Path.GetDirectoryName(_folder)!, null, null, TimeProvider.System).Equip(PolicyCompiler.Compile(spec, 1, "test"), "test");
            ((OnnxClassifier)policy.Tiers.Classifier!).Dispose();
            return policy.Clearance;
        }
    }

    [Fact]
    public void What_stands_for_letters_and_is_none_is_not_harmless()
    {
        Write("vocab.txt", "input_ids", "attention_mask");
        using var classifier = OnnxClassifier.Load(_folder);
        Assert.Equal([0.5, 0.5, 0.5], classifier.Score(["ⓜⓨ ⓦⓘⓕⓔ", "⠍⠽ ⠺⠊⠋⠑", "-- -.-- .-- .."]).Select(score => score.Probability));
        Assert.All(classifier.Score(["my name é • →", "Привет, как дела", "Καλημέρα, τι κάνεις", "في ٢٠٠٨ و ٢٠١٠", "二〇〇八年和二〇一〇年"]), score => Assert.True(score.Probability < 0.1));
    }

    [Fact]
    public void A_unigram_tokenizer_is_read_from_its_json()
    {
        File.WriteAllBytes(Path.Combine(_folder, "model.onnx"), TinyOnnx.Model(Table(8, 5), "input_ids", "attention_mask"));
        File.WriteAllText(Path.Combine(_folder, "config.json"), Labels);
        File.WriteAllText(Path.Combine(_folder, "tokenizer.json"), """
            {"added_tokens": [{"id": 0, "content": "[PAD]"}, {"id": 1, "content": "[CLS]"}, {"id": 2, "content": "[SEP]"}],
             "model": {"type": "Unigram", "unk_id": 3, "vocab": [["[PAD]", 0], ["[CLS]", 0], ["[SEP]", 0], ["[UNK]", 0], ["▁my", -2], ["▁joanna", -3], ["▁jo", -4], ["anna", -4]]}}
            """);
        using var classifier = OnnxClassifier.Load(_folder);
        const string text = "my joanna?";
        var span = Assert.Single(classifier.Score([text])[0].Spans);
        Assert.Equal("joanna", text[span.Start..span.End]);
    }

    [Fact]
    public void The_most_probable_cut_wins_and_unknown_characters_are_kept()
    {
        var pieces = new UnigramPieces([("<unk>", 0), ("▁a", -1), ("b", -1), ("▁ab", -3), ("c", -5)], 0, 7, 8, 9);
        Assert.Equal([1, 2], pieces.Encode("ab", afterSpace: true));
        Assert.Equal([2, 0, 4], pieces.Encode("bxc", afterSpace: false));
    }

    [Fact]
    public void What_is_no_token_classifier_is_refused_by_name()
    {
        Refused("model.onnx' does not exist");
        Write("vocab.txt", "input_ids", "words_mask");
        Refused("input 'words_mask': a token classifier takes");
        Write("vocab.txt", "input_ids");
        File.WriteAllText(Path.Combine(_folder, "config.json"), """{"id2label": {"0": "A", "1": "B"}}""");
        Refused("no label O");
        File.WriteAllText(Path.Combine(_folder, "config.json"), """{"id2label": {"0": "O", "1": "B"}}""");
        Refused("must be [batch, length, 2]");
        File.WriteAllText(Path.Combine(_folder, "config.json"), """{"id2label": {"0": "O", "1": "B", "3": "C"}}""");
        Refused("config.json' does not name the labels in id2label: label 2 is missing");
        File.WriteAllText(Path.Combine(_folder, "config.json"), "{");
        Refused("config.json' does not name the labels");
        File.WriteAllText(Path.Combine(_folder, "config.json"), Labels);
        File.WriteAllBytes(Path.Combine(_folder, "model.onnx"), TinyOnnx.ModelOfHalves(Table(Vocabulary.Length, 7), "input_ids"));
        Refused("its output is of Float16, must be of float32");
        File.WriteAllBytes(Path.Combine(_folder, "model.onnx"), TinyOnnx.ModelOfShortIds(Table(Vocabulary.Length, 7), "input_ids"));
        Refused("input 'input_ids' is of Int32, must be of int64");
        File.WriteAllText(Path.Combine(_folder, "model.onnx"), "no model");
        Refused("model.onnx' cannot be loaded");
        File.Delete(Path.Combine(_folder, "vocab.txt"));
        Refused("has neither tokenizer.json nor vocab.txt");
        File.WriteAllText(Path.Combine(_folder, "tokenizer.json"), """{"model": {"type": "BPE", "vocab": {}}}""");
        Refused("model.type: 'BPE' is not read here");
    }

    private static float[,] Table(int tokens, params int[] names)
    {
        var table = new float[tokens, 3];
        for (var token = 0; token < tokens; token++)
            table[token, names.Contains(token) ? 1 : 0] = 8;
        return table;
    }

    private void Write(string tokenizer, params string[] inputs)
    {
        File.WriteAllBytes(Path.Combine(_folder, "model.onnx"), TinyOnnx.Model(Table(Vocabulary.Length, 7, 8, 9), inputs));
        File.WriteAllText(Path.Combine(_folder, "config.json"), Labels);
        File.WriteAllText(Path.Combine(_folder, tokenizer), tokenizer == "vocab.txt"
            ? string.Join('\n', Vocabulary)
            : $$"""{"normalizer": {"lowercase": true}, "model": {"type": "WordPiece", "vocab": { {{string.Join(", ", Vocabulary.Select((piece, id) => $"\"{piece}\": {id}"))}} } } }""");
    }

    private void Refused(string says)
    {
        var error = Assert.Throws<UserInputException>(() => OnnxClassifier.Load(_folder));
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }
}
