using Moebius.Crds;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Tests.Text;

public sealed class TokenizerConfigTests : IDisposable
{
    private const string Bare = "null";
    private const string WithBos = """
        {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
         "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
        """;

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    /// <summary>
    /// As the reference library read them for years: what DeepSeek-V3 and R1 are published with has its switch on and a post-processor
    /// that adds nothing.
    /// </summary>
    [Theory]
    [InlineData(Bare, "LlamaTokenizerFast", "true", "false", new[] { 1, 3 })]
    [InlineData(Bare, "LlamaTokenizer", "true", "true", new[] { 1, 3, 2 })]
    [InlineData(Bare, "LlamaTokenizerFast", "false", "true", new[] { 3, 2 })]
    [InlineData(Bare, "LlamaTokenizerFast", "null", "null", new[] { 3 })]
    [InlineData(WithBos, "LlamaTokenizer", "true", "false", new[] { 1, 3 })]
    [InlineData(WithBos, "LlamaTokenizer", "false", "false", new[] { 3 })]
    [InlineData(WithBos, "LlamaTokenizer", "null", "true", new[] { 1, 3, 2 })]
    [InlineData(Bare, "PreTrainedTokenizerFast", "true", "true", new[] { 3 })]
    [InlineData(WithBos, "GPT2Tokenizer", "false", "false", new[] { 1, 3 })]
    public void Switches_of_a_llama_tokenizer_decide_what_stands_around_a_text(string postProcessor, string tokenizer, string bos, string eos, int[] expected)
    {
        var loaded = Load(postProcessor, $$"""
            {"tokenizer_class": "{{tokenizer}}", "add_bos_token": {{bos}}, "add_eos_token": {{eos}},
             "bos_token": {"__type": "AddedToken", "content": "<s>"}, "eos_token": "</s>"}
            """);

        Assert.Equal(expected, loaded.Encode("a", true));
        Assert.Equal([3], loaded.Encode("a", false));
    }

    [Theory]
    [InlineData("""{"tokenizer_class": "LlamaTokenizer", "add_bos_token": true}""", "add_bos_token: is true, but bos_token names no token")]
    [InlineData("""{"tokenizer_class": "LlamaTokenizer", "add_eos_token": true, "eos_token": null}""", "add_eos_token: is true, but eos_token names no token")]
    [InlineData("""{"tokenizer_class": "LlamaTokenizer", "add_bos_token": "yes", "bos_token": "<s>"}""", "add_bos_token: is \"yes\"; it must be true or false")]
    [InlineData("""{"tokenizer_class": "LlamaTokenizer", "add_bos_token": true, "bos_token": "<bos>"}""", "bos_token: '<bos>' is no token of ")]
    [InlineData("""{"bos_token": 7}""", "bos_token: must be a text")]
    [InlineData("[]", "is a JSON Array; it must be an object")]
    [InlineData("{", "not valid JSON")]
    public void What_is_wrong_is_named(string config, string expected)
    {
        var error = Assert.Throws<UserInputException>(() => Load(Bare, config));

        Assert.Contains("tokenizer_config.json: ", error.Message, StringComparison.Ordinal);
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
    }

    /// <summary>As the reference library adds what the one file says of tokens and the other lacks.</summary>
    [Theory]
    [InlineData("""{"4": {"content": "<|x|>", "special": true}}""", "a<|x|>a", new[] { 3, 4, 3 }, "aa")]
    [InlineData("""{"4": {"content": "aa"}}""", "aaa", new[] { 4, 3 }, "aaa")]
    [InlineData("""{"3": {"content": "a", "special": true}, "1": {"content": "<s>", "special": true}}""", "<s>a", new[] { 1, 3 }, "")]
    [InlineData("""{"4": {"content": "<|x|>", "rstrip": true, "special": true}}""", "<|x|>  a", new[] { 4, 3 }, "a")]
    // What it says of one that both have counts.
    [InlineData("""{"1": {"content": "<s>", "lstrip": true, "special": true}}""", "a  <s>a", new[] { 3, 1, 3 }, "aa")]
    [InlineData("{}", "a", new[] { 3 }, "a")]
    [InlineData("null", "a", new[] { 3 }, "a")]
    public void Tokens_that_it_adds_are_found(string added, string text, int[] expected, string decoded)
    {
        var loaded = Load(Bare, $$"""{"added_tokens_decoder": {{added}}}""");

        Assert.Equal(expected, loaded.Encode(text, false));
        Assert.Equal(decoded, loaded.Decode(expected));
    }

    [Theory]
    [InlineData("""{"5": {"content": "<s>"}}""", "added_tokens_decoder.5: '<s>' has the id 1 in ")]
    [InlineData("""{"5": {"content": "a"}}""", "added_tokens_decoder.5: 'a' has the id 3 in ")]
    [InlineData("""{"1": {"content": "<|x|>"}}""", "added_tokens_decoder.1: '<|x|>' has the id of '<s>' in ")]
    [InlineData("""{"3": {"content": "<|x|>"}}""", "added_tokens_decoder.3: '<|x|>' has the id of 'a' in ")]
    [InlineData("""{"4": {"content": "<|x|>"}, "5": {"content": "<|x|>"}}""", "added_tokens_decoder.5: '<|x|>' has the id 4 in ")]
    [InlineData("""{"x": {"content": "<|x|>"}}""", "added_tokens_decoder: 'x' must be a token id")]
    [InlineData("""{"-1": {"content": "<|x|>"}}""", "added_tokens_decoder: '-1' must be a token id")]
    [InlineData("""{"99999999": {"content": "<|x|>"}}""", "added_tokens_decoder: '99999999' must be a token id")]
    [InlineData("""{"4": {"special": true}}""", "added_tokens_decoder.4: must be an object with the text 'content'")]
    [InlineData("""{"4": {"content": "<|x|>", "special": 1}}""", "added_tokens_decoder.4.special: must be true or false")]
    [InlineData("[]", "added_tokens_decoder: must be an object")]
    public void Tokens_that_contradict_the_vocabulary_are_refused(string added, string expected)
    {
        var error = Assert.Throws<UserInputException>(() => Load(Bare, $$"""{"added_tokens_decoder": {{added}}}"""));

        Assert.Contains("tokenizer_config.json: ", error.Message, StringComparison.Ordinal);
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_the_file_the_post_processor_decides() => Assert.Equal([1, 3], Load(WithBos, null).Encode("a", true));

    private Tokenizer Load(string postProcessor, string? config)
    {
        File.WriteAllText(Path.Combine(_directory.Path, "tokenizer.json"), $$"""
            {"added_tokens": [{"id": 1, "content": "<s>", "special": true}, {"id": 2, "content": "</s>", "special": true}],
             "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}, "post_processor": {{postProcessor}},
             "model": {"type": "BPE", "vocab": {"<unk>": 0, "a": 3}, "merges": []} }
            """);
        if (config is not null)
            File.WriteAllText(Path.Combine(_directory.Path, "tokenizer_config.json"), config);
        return Tokenizer.Load(_directory.Path);
    }
}
