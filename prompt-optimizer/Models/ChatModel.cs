using System.ClientModel;
using System.ClientModel.Primitives;
using System.Text.Json;
using Microsoft.Extensions.AI;
using OpenAI;

namespace Moebius.PromptOptimizer.Models;

/// <summary>A question to a chat model.</summary>
/// <param name="Agent">Who asks; names the schema and the metric label.</param>
/// <param name="Messages">The conversation.</param>
/// <param name="Schema">JSON schema of the answer.</param>
/// <param name="MaxTokens">Most tokens of the answer.</param>
internal sealed record ChatQuestion(string Agent, IReadOnlyList<ChatMessage> Messages, JsonElement Schema, int MaxTokens);

/// <summary>What the model wrote.</summary>
/// <param name="Text">The text; empty if there was none.</param>
/// <param name="CutOff">Whether it ended because of the token limit.</param>
/// <param name="InputTokens">Tokens of the conversation; estimated if the endpoint does not say.</param>
/// <param name="OutputTokens">Tokens of the answer; estimated if the endpoint does not say.</param>
/// <param name="Withheld">Whether the model refused to answer, or a filter of the endpoint took the answer away.</param>
internal sealed record ChatAnswer(string Text, bool CutOff, int InputTokens, int OutputTokens, bool Withheld = false);

/// <summary>A chat model, asked within a token budget.</summary>
internal interface IChatModel
{
    /// <exception cref="ModelUnavailableException">Worth trying again later.</exception>
    /// <exception cref="ModelRejectedException">Trying again would not help.</exception>
    /// <exception cref="BudgetExhaustedException">The budget does not suffice for the question.</exception>
    Task<ChatAnswer> AskAsync(ChatQuestion question, TokenMeter meter, CancellationToken cancel);
}

/// <summary>Any OpenAI-compatible chat endpoint.</summary>
internal sealed class ChatModel : IChatModel, IDisposable
{
    private readonly HttpClient _http;
    private readonly IChatClient _client;
    private readonly ModelCalls _calls;

    // Set once an endpoint has refused response_format: the schema then stands in the instructions alone.
    private volatile bool _noResponseFormat;

    public ChatModel(EndpointSettings endpoint, ModelCalls calls)
    {
        _calls = calls;
        _http = ModelCalls.CreateHttpClient(handler => new ModelAnswers(endpoint.ApiKey, handler));
        var options = new OpenAIClientOptions
        {
            Endpoint = endpoint.Url,
            Transport = new HttpClientPipelineTransport(_http),
            // Retries are ours: with a stated limit, on the project's clock, and counted.
            RetryPolicy = new ClientRetryPolicy(maxRetries: 0),
            NetworkTimeout = Timeout.InfiniteTimeSpan,
        };
        if (endpoint.ApiKey is null)
            options.AddPolicy(new WithoutAuthorization(), PipelinePosition.BeforeTransport);
        _client = new OpenAIClient(new ApiKeyCredential(endpoint.ApiKey ?? "unset"), options).GetChatClient(endpoint.Model).AsIChatClient();
    }

    public async Task<ChatAnswer> AskAsync(ChatQuestion question, TokenMeter meter, CancellationToken cancel)
    {
        var characters = question.Messages.Sum(message => message.Text.Length) + (question.Messages.Count * 16);
        int? maxTokens = meter.Reserve(characters, question.MaxTokens);
        var format = !_noResponseFormat;
        var started = meter.Start();
        ChatResponse? response = null;
        while (response is null)
        {
            try
            {
                response = await CallAsync(question, maxTokens, format, cancel).ConfigureAwait(false);
                // Only now: an error's words may quote the prompt, and one prompt must not change how the others are asked.
                if (!format)
                    _noResponseFormat = true;
            }
            catch (ModelRejectedException error) when (format && error.Status is 400 or 422 or 501 && error.Message.Contains("response_format", StringComparison.OrdinalIgnoreCase))
            {
                format = false;
            }
            catch (ModelRejectedException error) when (maxTokens is not null && error.ContextExceeded)
            {
                // Less than was asked for is left of the context: without a limit the answer gets what is left, which the budget holds.
                maxTokens = null;
            }
        }

        var text = response.Text ?? "";
        var answer = new ChatAnswer(
            text,
            response.FinishReason == ChatFinishReason.Length,
            Tokens(response.Usage?.InputTokenCount, characters),
            Tokens(response.Usage?.OutputTokenCount, text.Length),
            text.Length == 0 && (response.FinishReason == ChatFinishReason.ContentFilter || response.Messages.SelectMany(message => message.Contents).OfType<ErrorContent>().Any()));
        meter.Record(question.Agent, started, answer);
        return answer;
    }

    public void Dispose()
    {
        _client.Dispose();
        _http.Dispose();
    }

    private Task<ChatResponse> CallAsync(ChatQuestion question, int? maxTokens, bool format, CancellationToken cancel)
    {
        var options = new ChatOptions
        {
            MaxOutputTokens = maxTokens,
            ResponseFormat = format ? ChatResponseFormat.ForJsonSchema(question.Schema, question.Agent) : null,
            AdditionalProperties = format ? new() { ["strict"] = true } : null,
        };
        return _calls.RunAsync(token => _client.GetResponseAsync(question.Messages, options, token), cancel);
    }

    private static int Tokens(long? reported, int characters) =>
        reported is > 0 and < int.MaxValue ? (int)reported.Value : TokenMeter.Estimate(characters);

    private sealed class WithoutAuthorization : PipelinePolicy
    {
        public override void Process(PipelineMessage message, IReadOnlyList<PipelinePolicy> pipeline, int currentIndex)
        {
            message.Request.Headers.Remove("Authorization");
            ProcessNext(message, pipeline, currentIndex);
        }

        public override ValueTask ProcessAsync(PipelineMessage message, IReadOnlyList<PipelinePolicy> pipeline, int currentIndex)
        {
            message.Request.Headers.Remove("Authorization");
            return ProcessNextAsync(message, pipeline, currentIndex);
        }
    }
}
