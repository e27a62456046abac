using Moebius.Crds;
using Moebius.Inference.Text;

namespace Moebius.Inference.Tests.Text;

/// <summary>What <c>tokenizer_config.json</c> may hold, and what is refused by field.</summary>
public class ChatTemplateFileTests
{
    [Theory]
    [InlineData("[]", "is a JSON Array; it must be an object")]
    [InlineData("{", "not valid JSON")]
    [InlineData("""{"chat_template": 5}""", "chat_template: must be a text or a list of named texts")]
    [InlineData("""{"chat_template": [5]}""", "chat_template[0]: must have the texts 'name' and 'template'")]
    [InlineData("""{"chat_template": [{"name": "default", "template": "x"}, {"name": "tool_use"}]}""", "chat_template[1]: must have the texts 'name' and 'template'")]
    [InlineData("""{"chat_template": [{"name": "default", "template": 5}]}""", "chat_template[0]: must have the texts 'name' and 'template'")]
    [InlineData("""{"chat_template": [{"name": "default", "template": "x"}, {"name": "default", "template": "y"}]}""", "chat_template[1]: the name 'default' stands twice")]
    [InlineData("""{"chat_template": [{"name": "tool_use", "template": "x"}]}""", "chat_template: none of the templates is named 'default'")]
    [InlineData("""{"bos_token": 5, "chat_template": "x"}""", "bos_token: must be a text, an object with the text 'content', or null")]
    [InlineData("""{"eos_token": ["</s>"]}""", "eos_token: must be a text")]
    [InlineData("""{"pad_token": false}""", "pad_token: must be a text")]
    [InlineData("""{"unk_token": {"content": 5}}""", "unk_token: must be a text")]
    [InlineData("""{"cls_token": {"lstrip": true}}""", "cls_token: must be a text")]
    public void A_damaged_file_is_refused_by_field(string json, string message)
    {
        using var directory = new TemporaryDirectory();
        var path = Path.Combine(directory.Path, TokenizerConfig.Name);
        File.WriteAllText(path, json);
        var error = Assert.Throws<UserInputException>(() => ChatTemplate.Load(directory.Path));
        Assert.StartsWith(path + ":", error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"bos_token": null, "eos_token": {"content": "</s>"}, "chat_template": "{{ bos_token }}{{ eos_token }}"}""", "</s>")]
    [InlineData("""{"bos_token": null, "chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d{{ bos_token }}"}]}""", "d")]
    // The reference library gives a template no variable for a token that is null or empty.
    [InlineData("""{"bos_token": null, "unk_token": "", "chat_template": "{{ bos_token is defined }}{{ unk_token is defined }}{{ pad_token is defined }}"}""", "FalseFalseFalse")]
    public void Tokens_are_texts_and_the_default_is_taken(string json, string expected)
    {
        using var directory = new TemporaryDirectory();
        File.WriteAllText(Path.Combine(directory.Path, TokenizerConfig.Name), json);
        using var messages = System.Text.Json.JsonDocument.Parse("[]");
        Assert.Equal(expected, ChatTemplate.Load(directory.Path)!.Render(messages.RootElement, null, true, null, TimeProvider.System));
    }

    [Fact]
    public void A_template_for_tools_in_the_folder_of_others_is_taken_where_there_are_tools()
    {
        using var directory = new TemporaryDirectory();
        var others = Directory.CreateDirectory(Path.Combine(directory.Path, ChatTemplate.Others)).FullName;
        File.WriteAllText(Path.Combine(others, "tool_use.jinja"), "t{{ tools | length }}");
        File.WriteAllText(Path.Combine(others, "rag.jinja"), "{{ not read");
        // Without a default the folder is one that the reference library cannot use either.
        Assert.StartsWith(others + ":", Assert.Throws<UserInputException>(() => ChatTemplate.Load(directory.Path)).Message, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(directory.Path, ChatTemplate.File), "d");
        using var list = System.Text.Json.JsonDocument.Parse("[1]");
        var template = ChatTemplate.Load(directory.Path)!;
        Assert.Equal(["d", "t1"], new[] { template.Render(list.RootElement, null, true, null, TimeProvider.System), template.Render(list.RootElement, list.RootElement, true, null, TimeProvider.System) });
        Assert.Equal("t{{ tools | length }}", template.Source);

        File.WriteAllText(Path.Combine(others, "tool_use.jinja"), "{% nonsense %}");
        Assert.StartsWith(Path.Combine(others, "tool_use.jinja") + ":", Assert.Throws<UserInputException>(() => ChatTemplate.Load(directory.Path)).Message, StringComparison.Ordinal);
    }
}
