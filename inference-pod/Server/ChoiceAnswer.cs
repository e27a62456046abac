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

    private int _calls;
    private bool _open;
    private bool _broken;
    private bool _cutOff;

    /// <summary>Nothing more belongs to it, whatever the model still writes.</summary>
    public bool Complete => !manyCalls && _calls > 0 && !_open;

    /// <summary>Tokens that were generated for what was taken; what the model still wrote is nobody's.</summary>
    public int Tokens { get; private set; }

    /// <summary>Takes what a generation says.</summary>
    /// <returns>What is new, in the pieces that a stream sends; none where nothing is.</returns>
    public IReadOnlyList<AnswerDelta> Take(GenerationEvent happened)
    {
        var deltas = new List<AnswerDelta>();
        if (Complete)
            return deltas;
        Tokens = happened.Generated;
        Add(deltas, reader.Append(happened.Text));
        if (happened.Finish is not null && !Complete)
        {
            _cutOff = happened.Finish == FinishReason.Length;
            Add(deltas, reader.Finish());
        }

        deltas.RemoveAll(delta => delta.IsEmpty);
        return deltas;
    }

    /// <summary>The reason to give for the end.</summary>
    public string? Reason(FinishReason? finish) => finish switch
    {
        null => null,
        FinishReason.Length when _cutOff => "length",
        // A call that is broken off is for nobody to make.
        _ => _calls > 0 && !_broken ? "tool_calls" : "stop",
    };

    private void Add(List<AnswerDelta> deltas, IReadOnlyList<AnswerPart> parts)
    {
        foreach (var part in parts)
        {
            switch (part)
            {
                case ContentPart content:
                    Last().Content.Append(content.Text);
                    break;
                case ReasoningPart reasoning:
                    Last().Reasoning.Append(reasoning.Text);
                    break;
                case CallBegin call:
                    _open = true;
                    Last().Calls.Add(new CallDelta(_calls++, Random.Shared.GetString(IdCharacters, IdLength), call.Name));
                    // What it is called with comes apart from what is called.
                    deltas.Add(new AnswerDelta());
                    break;
                case CallArguments arguments:
                    var delta = Last();
                    if (delta.Calls.Count == 0)
                        delta.Calls.Add(new CallDelta(_calls - 1, null, null));
                    delta.Calls[^1].Arguments.Append(arguments.Text);
                    break;
                case CallEnd end:
                    _open = false;
                    _broken |= !end.Whole;
                    // The first one alone was asked for.
                    if (Complete)
                        return;
                    break;
            }
        }

        AnswerDelta Last()
        {
            if (deltas.Count == 0)
                deltas.Add(new AnswerDelta());
            return deltas[^1];
        }
    }
}

/// <summary>What is new of a choice.</summary>
internal sealed class AnswerDelta
{
    public StringBuilder Content { get; } = new();

    public StringBuilder Reasoning { get; } = new();

    public List<CallDelta> Calls { get; } = [];

    public bool IsEmpty => Content.Length == 0 && Reasoning.Length == 0 && Calls.Count == 0;

    /// <summary>Adds a later one.</summary>
    public void Add(AnswerDelta later)
    {
        Content.Append(later.Content);
        Reasoning.Append(later.Reasoning);
        foreach (var call in later.Calls)
        {
            if (call.Id is null)
                Calls[^1].Arguments.Append(call.Arguments);
            else
                Calls.Add(call);
        }
    }

    public static AnswerDelta Of(string content)
    {
        var delta = new AnswerDelta();
        delta.Content.Append(content);
        return delta;
    }
}

/// <summary>What is new of a call.</summary>
/// <param name="Index">Which one of the choice it is.</param>
/// <param name="Id">Its id, at its beginning; otherwise null.</param>
/// <param name="Name">Its tool's name, at its beginning; otherwise null.</param>
internal sealed record CallDelta(int Index, string? Id, string? Name)
{
    /// <summary>More of its arguments.</summary>
    public StringBuilder Arguments { get; } = new();

    /// <param name="streamed">As a part of a stream, not as a whole.</param>
    public JsonObject Json(bool streamed)
    {
        var json = new JsonObject();
        if (streamed)
            json["index"] = Index;
        var function = new JsonObject();
        if (Id is not null)
        {
            json["id"] = Id;
            json["type"] = "function";
            function["name"] = Name;
        }

        function["arguments"] = Arguments.ToString();
        json["function"] = function;
        return json;
    }
}
