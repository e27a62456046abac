using System.Text;
using System.Text.Json.Nodes;
using Moebius.Inference.Engine;
using Moebius.Inference.Tools;

namespace Moebius.Inference.Server;

/// <summary>One choice of an answer as it comes: its parts, and how it ends.</summary>
/// <param name="reader">Tells its parts apart.</param>
/// <param name="manyCalls">Otherwise it is complete with its first call.</param>
internal sealed class ChoiceAnswer(IAnswerReader reader, bool manyCalls)
{
    private const string IdCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

    /// <summary>The templates of Mistral's models take ids of this length only, and no other characters.</summary>
    private const int IdLength = 9;

    private int calls;

    /// <summary>Nothing more belongs to it, whatever the model still writes.</summary>
    public bool Complete => !manyCalls && calls > 0;

    /// <summary>Takes what a generation says.</summary>
    public AnswerDelta Take(GenerationEvent happened)
    {
        if (Complete)
            return new AnswerDelta();
        var delta = new AnswerDelta();
        Add(delta, reader.Append(happened.Text));
        if (happened.Finish is not null)
            Add(delta, reader.Finish());
        return delta;
    }

    /// <summary>The reason to give for the end.</summary>
    public string? Reason(FinishReason? finish) => finish switch
    {
        null => null,
        _ when Complete => "tool_calls",
        FinishReason.Length => "length",
        _ => calls > 0 ? "tool_calls" : "stop",
    };

    private void Add(AnswerDelta delta, IReadOnlyList<AnswerPart> parts)
    {
        foreach (var part in parts)
        {
            switch (part)
            {
                case ContentPart content:
                    delta.Content.Append(content.Text);
                    break;
                case ReasoningPart reasoning:
                    delta.Reasoning.Append(reasoning.Text);
                    break;
                case CallPart call:
                    delta.Calls.Add(new JsonObject
                    {
                        ["index"] = calls++,
                        ["id"] = System.Security.Cryptography.RandomNumberGenerator.GetString(IdCharacters, IdLength),
                        ["type"] = "function",
                        ["function"] = new JsonObject { ["name"] = call.Name, ["arguments"] = call.Arguments },
                    });
                    if (Complete)
                        return;
                    break;
            }
        }
    }
}

/// <summary>What is new of a choice.</summary>
internal sealed class AnswerDelta
{
    public StringBuilder Content { get; } = new();

    public StringBuilder Reasoning { get; } = new();

    /// <summary>As a stream writes them, with their index.</summary>
    public List<JsonObject> Calls { get; } = [];

    public bool IsEmpty => Content.Length == 0 && Reasoning.Length == 0 && Calls.Count == 0;

    /// <summary>Adds a later one.</summary>
    public void Add(AnswerDelta later)
    {
        Content.Append(later.Content);
        Reasoning.Append(later.Reasoning);
        Calls.AddRange(later.Calls);
    }

    public static AnswerDelta Of(string content)
    {
        var delta = new AnswerDelta();
        delta.Content.Append(content);
        return delta;
    }
}
