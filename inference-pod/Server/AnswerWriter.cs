using System.Text.Json.Nodes;
using System.Threading.Channels;
using Microsoft.AspNetCore.Http;
using Moebius.Inference.Engine;

namespace Moebius.Inference.Server;

/// <summary>Sends what generations say: whole, or as server-sent events.</summary>
internal sealed class AnswerWriter(PreparedRequest request, AnswerShape shape, IReadOnlyList<Generation> generations)
{
    /// <summary>Tokens of a prompt that an event of a stream tells of at most: 20 alternatives for each of some thousand are many megabytes of JSON.</summary>
    private const int ToldAtOnce = 256;

    private bool WithTokens => request.Common.Sampling.Logprobs is not null;

    /// <summary>Waits for the end and sends one answer.</summary>
    public async Task WriteWholeAsync(HttpContext context, CancellationToken stop)
    {
        var choices = new List<(JsonObject Choice, IEnumerable<ChosenToken> Tokens)>();
        var answers = Answers();
        for (var i = 0; i < generations.Count; i++)
        {
            FinishReason? finish = null;
            var answer = answers[i];
            var whole = AnswerDelta.Of(Begin(i));
            var tokens = new List<ChosenToken>();
            await foreach (var happened in generations[i].Events.Reader.ReadAllAsync(stop).ConfigureAwait(false))
            {
                if (!answer.Complete && Failure(happened.Finish) is { } error)
                    throw error;
                if (!answer.Complete)
                    tokens.AddRange(happened.Tokens);
                foreach (var delta in answer.Take(happened))
                    whole.Add(delta);
                finish = happened.Finish;
                if (answer.Complete)
                    generations[i].Complete();
            }

            choices.Add((shape.Choice(i, whole, null, answer.Reason(finish)!), Scores(i) is { } scores ? scores.Tokens.Concat(tokens) : tokens));
        }

        var usage = AnswerShape.Usage(generations, answers, request.Common.Choices);
        if (!WithTokens)
        {
            await JsonBody.WriteAsync(context.Response, shape.Whole([.. choices.Select(choice => choice.Choice)], usage)).ConfigureAwait(false);
            return;
        }

        context.Response.ContentType = JsonBody.ContentType;
        await shape.WriteAsync(context.Response.BodyWriter, choices, usage, stop).ConfigureAwait(false);
    }

    /// <summary>Sends events as they come.</summary>
    public async Task WriteStreamAsync(HttpContext context, CancellationToken stop)
    {
        context.Response.ContentType = "text/event-stream; charset=utf-8";
        context.Response.Headers.CacheControl = "no-cache";
        context.Response.Headers["X-Accel-Buffering"] = "no";
        // The headers tell that the request is accepted. An event before there is a token would be taken for the first one by who measures.
        await context.Response.Body.FlushAsync(stop).ConfigureAwait(false);
        var answers = Answers();
        var begun = new bool[generations.Count];
        await foreach (var (index, happened) in Merge(stop).ConfigureAwait(false))
        {
            var answer = answers[index];
            if (!answer.Complete && Failure(happened.Finish) is { } error)
            {
                await SendAsync(context, error.Body(), stop).ConfigureAwait(false);
                break;
            }

            var tokens = answer.Complete ? [] : happened.Tokens;
            if (!begun[index])
                await BeginAsync(index).ConfigureAwait(false);
            begun[index] = true;
            var deltas = answer.Take(happened);
            if (answer.Complete)
                generations[index].Complete();
            var reason = answer.Reason(happened.Finish);
            for (var i = 0; i < deltas.Count - 1; i++)
                await TellAsync(index, shape.Delta(index, deltas[i], WithTokens ? [] : null, null)).ConfigureAwait(false);
            // The tokens are told of once, and the end with the last piece.
            if (deltas.Count > 0 || tokens.Count > 0 || reason is not null)
                await TellAsync(index, shape.Delta(index, deltas.Count > 0 ? deltas[^1] : new AnswerDelta(), WithTokens ? tokens : null, reason)).ConfigureAwait(false);
        }

        if (request.Common.IncludeUsage)
            await SendAsync(context, shape.Chunk([], AnswerShape.Usage(generations, answers, request.Common.Choices), true), stop).ConfigureAwait(false);
        await context.Response.WriteAsync("data: [DONE]\n\n", stop).ConfigureAwait(false);
        await context.Response.Body.FlushAsync(stop).ConfigureAwait(false);

        // What a choice begins with.
        async Task BeginAsync(int index)
        {
            if (shape.Opening(index) is { } opening)
                await TellAsync(index, opening).ConfigureAwait(false);
            var echo = Begin(index);
            if (Scores(index) is { } scores)
            {
                // Another choice's sequence may compute them, and be behind this one.
                await scores.Ended.WaitAsync(stop).ConfigureAwait(false);
                foreach (var tokens in scores.Complete ? scores.Tokens.Chunk(ToldAtOnce) : [])
                {
                    await TellAsync(index, shape.Delta(index, AnswerDelta.Of(echo), tokens, null)).ConfigureAwait(false);
                    echo = "";
                }
            }
            else if (echo.Length > 0)
            {
                await TellAsync(index, shape.Delta(index, AnswerDelta.Of(echo), null, null)).ConfigureAwait(false);
            }
        }

        Task TellAsync(int index, JsonObject choice)
        {
            var generation = generations[index];
            var usage = request.Common.UsageSoFar ? AnswerShape.Usage(generation.Request.Prompt.Length, answers[index].Tokens, generation.CachedTokens) : null;
            return SendAsync(context, shape.Chunk([choice], usage, request.Common.IncludeUsage), stop);
        }
    }

    private List<ChoiceAnswer> Answers() => [.. generations.Select(_ => new ChoiceAnswer(request.Reader(), request.ManyCalls))];

    /// <summary>What a choice begins with.</summary>
    private string Begin(int index)
    {
        if (request.Echo?[index / request.Common.Choices] is not { } echo)
            return "";
        shape.Begin(index, echo);
        return echo.Text;
    }

    /// <summary>The log-probabilities of a choice's prompt, which the first of its choices has; null where nobody wants them.</summary>
    private PromptScores? Scores(int index) => generations[index - (index % request.Common.Choices)].Request.Scores;

    private async IAsyncEnumerable<(int Index, GenerationEvent Event)> Merge([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken stop)
    {
        var merged = Channel.CreateUnbounded<(int, GenerationEvent)>(new UnboundedChannelOptions { SingleReader = true });
        var pumps = Task.WhenAll(generations.Select(async (generation, index) =>
        {
            await foreach (var happened in generation.Events.Reader.ReadAllAsync(stop).ConfigureAwait(false))
                merged.Writer.TryWrite((index, happened));
        }));
        _ = pumps.ContinueWith(done => merged.Writer.TryComplete(done.Exception?.InnerException), TaskScheduler.Default);
        await foreach (var item in merged.Reader.ReadAllAsync(stop).ConfigureAwait(false))
            yield return item;
    }

    private ApiException? Failure(FinishReason? finish) => finish switch
    {
        FinishReason.Error => new ApiException(500, "server_error", "The model failed to compute this request."),
        FinishReason.Grammar => request.Ambiguous(),
        FinishReason.Abort => new ApiException(503, "server_error", "The server is stopping.") { RetryAfter = 5 },
        _ => null,
    };

    private static async Task SendAsync(HttpContext context, JsonObject body, CancellationToken stop)
    {
        await context.Response.WriteAsync($"data: {JsonBody.Text(body)}\n\n", stop).ConfigureAwait(false);
        await context.Response.Body.FlushAsync(stop).ConfigureAwait(false);
    }
}
