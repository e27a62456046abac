using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Moebius.Crds;
using Moebius.Inference.Engine;
using Moebius.Inference.Models;
using Moebius.Inference.Text;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Server;

/// <summary>
/// Answers a few made-up requests before the first real one, so that the code on their path is compiled, and compiled
/// again with optimisation, by then. They run as real ones do, from JSON to server-sent events, but on an engine of
/// their own, whose metrics nobody reads and which has no prefix cache; its keys and values are gone when it ends.
/// </summary>
internal static class WarmUp
{
    /// <summary>No new request after this long: a model that is slow because it loads experts gains nothing from more.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(3);

    /// <summary>The runtime compiles hot methods in the background once nothing new was compiled for 100 ms.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(150);

    private const int Rounds = 3;
    private const int OutputTokens = 24;

    /// <summary>Prompt lengths: single rows, partly filled tiles and many rows take different paths in the kernels.</summary>
    private static readonly int[] Prompts = [1, 7, 48, 200];

    /// <param name="model">Nothing else may use it meanwhile.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="template">Its chat template, or null.</param>
    /// <param name="limits">The server's: the made-up requests stay within them.</param>
    /// <param name="clock">Time.</param>
    /// <param name="logger">Of the engine's failures.</param>
    /// <returns>What it counted, to be taken off the model's counters.</returns>
    /// <exception cref="UserInputException">A weight that is read on demand cannot be used.</exception>
    public static async Task<ExpertStatistics> RunAsync(ICausalModel model, Tokenizer tokenizer, ChatTemplate? template, SchedulerLimits limits, TimeProvider clock, ILogger logger)
    {
        var before = model.Experts;
        // Directly first: an engine reports a failed step to its client, this to whoever loads the model.
        using (var kv = model.CreateSequence())
            model.Forward([new SequenceChunk(kv, Tokens(Math.Min(Prompts[1], model.Info.ContextLength), model.Info.VocabularySize), LogitsFor.Last)]);
        using var patience = new CancellationTokenSource(Patience, clock);
        var engine = new InferenceEngine(model, tokenizer, new NoPrefixCache(), new ServerMetrics("warm-up"), limits, Prompts.Length, clock, logger);
        await using (engine.ConfigureAwait(false))
        {
            engine.Start();
            var served = new ServedModel("warm-up", model, tokenizer, template, engine, engine.ContextLength, clock.GetUtcNow());
            for (var round = 0; round < Rounds && !patience.IsCancellationRequested; round++)
            {
                if (round > 0)
                    await Task.Delay(Pause, clock).ConfigureAwait(false);
                foreach (var prompt in Prompts.Where(length => length + OutputTokens <= served.ContextLength && !patience.IsCancellationRequested))
                    await AnswerAsync(served, Completion(prompt, model.Info.VocabularySize), PreparedRequest.Completion, new TextShape(served.Name, tokenizer, clock.GetUtcNow()), patience.Token).ConfigureAwait(false);
                if (template is not null && !patience.IsCancellationRequested)
                    await TryChatAsync(served, clock, patience.Token).ConfigureAwait(false);
            }
        }

        return model.Experts.Since(before);
    }

    // A template may refuse any message: that says nothing about the model.
    private static async Task TryChatAsync(ServedModel served, TimeProvider clock, CancellationToken patience)
    {
        try
        {
            await AnswerAsync(served, Chat(), (root, model) => PreparedRequest.Chat(root, model, clock), new ChatShape(served.Name, served.Tokenizer, clock.GetUtcNow()), patience).ConfigureAwait(false);
        }
        catch (ApiException)
        {
        }
    }

    private static async Task AnswerAsync(ServedModel served, JsonObject body, Func<System.Text.Json.JsonElement, ServedModel, PreparedRequest> read, AnswerShape shape, CancellationToken patience)
    {
        var context = new DefaultHttpContext();
        context.Request.ContentType = "application/json";
        context.Request.Body = new MemoryStream(Encoding.UTF8.GetBytes(body.ToJsonString()));
        var nobody = Tenant.Unknown();
        var request = await new RequestBodies().ReadAsync(context.Request, nobody.Party, root => read(root, served), CancellationToken.None).ConfigureAwait(false);
        var generations = served.Engine.Submit(request.Sequences(served, nobody, new PublicText(null), 1));
        try
        {
            await new AnswerWriter(request, shape, generations).WriteStreamAsync(context, patience).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (patience.IsCancellationRequested)
        {
            generations[0].Cancel();
        }
    }

    /// <summary>Token ids from all over the vocabulary, so that many experts are asked for.</summary>
    private static int[] Tokens(int length, int vocabulary) => [.. Enumerable.Range(1, length).Select(i => (int)(i * 7919L % vocabulary))];

    private static JsonObject Completion(int length, int vocabulary) => new()
    {
        ["prompt"] = new JsonArray([.. Tokens(length, vocabulary).Select(token => JsonValue.Create(token))]),
        ["max_tokens"] = OutputTokens,
        ["ignore_eos"] = true,
        ["temperature"] = 0,
        ["stream"] = true,
    };

    private static JsonObject Chat() => new()
    {
        ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = "Good morning. How do you do?" }),
        ["max_tokens"] = OutputTokens,
        ["stream"] = true,
    };
}
