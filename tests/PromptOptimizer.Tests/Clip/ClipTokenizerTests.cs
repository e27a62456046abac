using Moebius.Crds;
using Moebius.PromptOptimizer.Models.Clip;

namespace Moebius.PromptOptimizer.Tests.Clip;

public sealed class ClipTokenizerTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string, int[], bool> Texts { get; } = new(Reference.Values["texts"]!.AsArray().Select(text =>
        ((string)text!["text"]!, text["ids"]!.AsArray().Select(id => (int)id!).ToArray(), (bool)text["cut"]!)));

    public void Dispose() => _folder.Dispose();

    /// <summary>The tokens are those of Hugging Face's tokenizers with the same vocabulary.</summary>
    [Theory]
    [MemberData(nameof(Texts))]
    public void Tokens_are_those_of_the_reference(string text, int[] ids, bool cut)
    {
        var tokens = TinyClip.Tokenizer(Reference.Merges).Encode(text, 77);
        Assert.Equal(ids, tokens.Ids);
        Assert.Equal(cut, tokens.Cut);
    }

    [Fact]
    public void A_text_that_just_fits_is_whole_and_the_end_stays_where_it_does_not()
    {
        var tokenizer = TinyClip.Tokenizer(Reference.Merges);
        var whole = tokenizer.Encode(string.Join(' ', Enumerable.Repeat("red", 75)), 77);
        Assert.Equal((77, false), (whole.Ids.Count, whole.Cut));
        var cut = tokenizer.Encode(string.Join(' ', Enumerable.Repeat("red", 76)), 77);
        Assert.True(cut.Cut);
        Assert.Equal(whole.Ids, cut.Ids);
        Assert.Equal(tokenizer.End, cut.Ids[^1]);
    }

    /// <summary>A prompt must not end where it names the token that ends it.</summary>
    [Fact]
    public void A_special_token_in_a_text_is_text()
    {
        var tokenizer = TinyClip.Tokenizer(Reference.Merges);
        var tokens = tokenizer.Encode("red <|endoftext|> <|startoftext|> blue", 77).Ids;
        Assert.Equal(tokenizer.End, Assert.Single(tokens, id => id == tokenizer.End));
        Assert.Equal(tokenizer.Start, Assert.Single(tokens, id => id == tokenizer.Start));
    }

    [Fact]
    public void Text_without_end_or_form_is_read_in_a_moment()
    {
        var tokenizer = TinyClip.Tokenizer(Reference.Merges);
        Assert.Equal(77, tokenizer.Encode(new string('a', 8192), 77).Ids.Count);
        Assert.Equal(77, tokenizer.Encode(string.Concat(Enumerable.Repeat("\u0301", 8192)), 77).Ids.Count);
        Assert.Equal(5, tokenizer.Encode("\ud83e", 77).Ids.Count);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void It_is_read_from_either_form_of_its_file(bool older)
    {
        File.WriteAllText(Path.Combine(_folder.Path, "tokenizer.json"), Reference.Tokenizer(Reference.Merges, older));
        Same(ClipTokenizerFiles.Read(_folder.Path));
    }

    [Fact]
    public void It_is_read_from_vocabulary_and_merges()
    {
        WriteBoth("#version: 0.2\n" + string.Join('\n', Reference.Merges) + "\n");
        Same(ClipTokenizerFiles.Read(_folder.Path));
    }

    [Theory]
    [InlineData("""{"model": {"type": "Unigram", "vocab": []}}""", "model.type: \"Unigram\" is not read here: CLIP's tokenizer is \"BPE\"")]
    [InlineData("""{"model": {"type": "BPE", "end_of_word_suffix": null, "vocab": {}, "merges": []}}""", "model.end_of_word_suffix: is not \"</w>\"")]
    [InlineData("""{"model": {"type": "BPE", "vocab": {}, "merges": []}}""", "model.end_of_word_suffix: is not \"</w>\"")]
    [InlineData("""{"model": {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": {"a": 0}, "merges": []}}""", "no token <|startoftext|>: this is not CLIP's tokenizer")]
    [InlineData("""{"model": {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": {"<|startoftext|>": 0, "<|endoftext|>": 1}, "merges": ["a b"]}}""", "the merges make 'a', which the vocabulary has not")]
    [InlineData("""{"model": {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": {"<|startoftext|>": -1}, "merges": []}}""", "the number of a token is below 0")]
    [InlineData("""{"model": {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": {"<|startoftext|>": 0, "<|endoftext|>": 1}, "merges": ["ab"]}}""", "a merge is not of two parts")]
    [InlineData("{", "is not a tokenizer of CLIP")]
    [InlineData("[]", "is not a tokenizer of CLIP")]
    public void Another_models_tokenizer_is_refused_by_what_it_is(string json, string message)
    {
        File.WriteAllText(Path.Combine(_folder.Path, "tokenizer.json"), json);
        var error = Assert.Throws<UserInputException>(() => ClipTokenizerFiles.Read(_folder.Path));
        Assert.Contains("tokenizer.json'", error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_missing_is_named()
    {
        Assert.Contains("has neither tokenizer.json nor vocab.json with merges.txt", Assert.Throws<UserInputException>(() => ClipTokenizerFiles.Read(_folder.Path)).Message, StringComparison.Ordinal);
        WriteBoth("r e\nzz zz\n");
        Assert.Contains("merges.txt' is not a tokenizer of CLIP: the merges make 'zz'", Assert.Throws<UserInputException>(() => ClipTokenizerFiles.Read(_folder.Path)).Message, StringComparison.Ordinal);
    }

    private void WriteBoth(string merges)
    {
        File.WriteAllText(Path.Combine(_folder.Path, "vocab.json"), System.Text.Json.JsonSerializer.Serialize(Reference.Vocabulary(Reference.Merges)));
        File.WriteAllText(Path.Combine(_folder.Path, "merges.txt"), merges);
    }

    private static void Same(ClipTokenizer tokenizer)
    {
        const string text = "The red lion's 2 balls, Caf\u00e9!!!";
        Assert.Equal(TinyClip.Tokenizer(Reference.Merges).Encode(text, 77).Ids, tokenizer.Encode(text, 77).Ids);
    }
}
