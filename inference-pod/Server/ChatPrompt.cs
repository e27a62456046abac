using System.Text.Json;
using Moebius.Inference.Text;
using Moebius.Inference.Text.Jinja;

namespace Moebius.Inference.Server;

/// <summary>The text that a model's chat template makes of a conversation.</summary>
internal static class ChatPrompt
{
    /// <param name="template">The model's.</param>
    /// <param name="body">The request.</param>
    /// <param name="messages">Its messages, with arguments as objects.</param>
    /// <param name="tools">What the model may call, or null.</param>
    /// <param name="open">Open the assistant's turn.</param>
    /// <param name="variables">Further variables of the template, or null.</param>
    /// <param name="clock">What the template may ask for the time.</param>
    /// <exception cref="ApiException">The template refuses the messages, or leaves one out.</exception>
    public static string Render(ChatTemplate template, RequestBody body, JsonElement messages, JsonElement? tools, bool open, JsonElement? variables, TimeProvider clock)
    {
        var knowsDevelopers = template.Knows(ChatMessages.Developer, tools is not null);
        string Rendered(JsonElement given) => template.Render(knowsDevelopers ? given : ChatMessages.WithoutDevelopers(given), tools, open, variables, clock);

        string text;
        try
        {
            text = Rendered(messages);
        }
        catch (JinjaException error)
        {
            // A template that joins arguments to other texts takes them as text only.
            var refusal = ApiException.Invalid("messages", $"The model's chat template refuses the messages: {error.Message}");
            if (!ChatMessages.HaveCalls(body))
                throw refusal;
            messages = ChatMessages.Read(body, argumentsAsObjects: false);
            try
            {
                text = Rendered(messages);
            }
            catch (JinjaException)
            {
                // The first reason is the better one.
                throw refusal;
            }
        }

        TemplateCheck.Messages(text, messages, Rendered);
        return text;
    }
}
