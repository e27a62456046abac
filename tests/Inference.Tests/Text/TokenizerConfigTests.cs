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
