using System.Collections.Frozen;
using System.Globalization;
using System.Text.Json;
using Moebius.Inference.Engine;

namespace Moebius.Inference.Server;

/// <summary>What completions and chat completions have in common, checked.</summary>
internal sealed record CompletionRequest
{
    /// <summary>Largest <c>n</c>.</summary>
    public const int MostChoices = 64;

    private const int MostStops = 16;
    private const int MostStopTokens = 128;
    private const int LongestStop = 1000;

    public required string? Model { get; init; }

    public required SamplingSettings Sampling { get; init; }

    public required IReadOnlyList<string> Stop { get; init; }

    public required int Choices { get; init; }

    public required bool Stream { get; init; }

    public required bool IncludeUsage { get; init; }

    /// <summary>Every event of a stream tells what its choice has used so far.</summary>
    public required bool UsageSoFar { get; init; }

    public required bool IgnoreEndOfSequence { get; init; }

    public required IReadOnlySet<int> StopTokens { get; init; }

    public required int MinTokens { get; init; }

    /// <summary>The field that wants the output to go on where a format or a call says that it ends; null where none does.</summary>
    public string? GoesOn => IgnoreEndOfSequence ? "ignore_eos" : MinTokens > 0 ? "min_tokens" : null;

    /// <summary>Reads the common fields.</summary>
    /// <param name="body">The request.</param>
    /// <param name="vocabulary">Token ids are below this.</param>
    /// <param name="logprobs">How many alternatives to report, as the endpoint writes it.</param>
    public static CompletionRequest Read(RequestBody body, int vocabulary, int? logprobs)
    {
        var choices = body.Integer("n", 1, MostChoices) ?? 1;
        if (body.Integer("best_of", 1, MostChoices) is { } best && best != choices)
            throw ApiException.Invalid("best_of", $"'best_of' is {best}: only the value of 'n' ({choices}) is supported.");
        var stream = body.Flag("stream") ?? false;
        var options = body.Object("stream_options");
        if (options is not null && !stream)
            throw ApiException.Invalid("stream_options", "'stream_options' is allowed only when 'stream' is true.");
        var usage = options?.Flag("include_usage") ?? false;
        var soFar = options?.Flag("continuous_usage_stats") ?? false;
        if (soFar && !usage)
            throw ApiException.Invalid("stream_options.continuous_usage_stats", "'stream_options.continuous_usage_stats' is allowed only when 'stream_options.include_usage' is true.");
        options?.RefuseOthers();

        // Said by many clients, and without effect on an answer.
        body.Text("user");
        body.Text("safety_identifier");
        body.Text("prompt_cache_key");
        body.Object("metadata");
        if (body.Text("service_tier") is { } tier and not ("auto" or "default"))
            throw ApiException.Invalid("service_tier", $"'service_tier' is '{tier}': this server has one tier: 'auto' or 'default'.");
        // Settings of other servers, written out by clients; each is accepted as what happens here.
        Only(body, "store", false, "this server keeps no answers");
        Only(body, "use_beam_search", false, "this server follows one output, not several beams");
        Only(body, "include_stop_str_in_output", false, "a stop text is no part of the output");
        Only(body, "skip_special_tokens", true, "special tokens are no part of the output");
        Only(body, "spaces_between_special_tokens", true, "special tokens are no part of the output");
        return new CompletionRequest
        {
            Model = body.Text("model"),
            Choices = choices,
            Stream = stream,
            IncludeUsage = usage,
            UsageSoFar = soFar,
            IgnoreEndOfSequence = body.Flag("ignore_eos") ?? false,
            StopTokens = StopTokensOf(body, vocabulary),
            MinTokens = body.Integer("min_tokens", 0, int.MaxValue) ?? 0,
            Stop = Stops(body),
            Sampling = new SamplingSettings
            {
                Temperature = body.Number("temperature", 0, 100) ?? 1,
                TopP = body.Number("top_p", 0, 1, aboveLeast: true) ?? 1,
                TopK = TopKOf(body),
                MinP = body.Number("min_p", 0, 1) ?? 0,
                PresencePenalty = body.Number("presence_penalty", -2, 2) ?? 0,
                FrequencyPenalty = body.Number("frequency_penalty", -2, 2) ?? 0,
                RepetitionPenalty = body.Number("repetition_penalty", 0.01, 100) ?? 1,
                LogitBias = Biases(body, vocabulary),
                Seed = body.Long("seed"),
                Logprobs = logprobs,
            },
        };
    }

    /// <exception cref="ApiException">A switch is not as it has to be.</exception>
    public static void Only(RequestBody body, string field, bool value, string why)
    {
        if (body.Flag(field) is { } given && given != value)
            throw ApiException.Invalid(field, $"'{field}' is {(given ? "true" : "false")}: {why}.");
    }

    // -1 is how several servers write "all".
    private static int TopKOf(RequestBody body) => Math.Max(0, body.Integer("top_k", -1, int.MaxValue) ?? 0);

    private static List<string> Stops(RequestBody body)
    {
        if (body.Get("stop") is not { } value)
            return [];
        List<string> stops = value.ValueKind switch
        {
            JsonValueKind.String => [RequestBody.String(value, "stop")],
            JsonValueKind.Array => [.. value.EnumerateArray().Select((item, i) => RequestBody.String(item, $"stop[{i}]"))],
            _ => throw body.Wrong("stop", "a string or an array of strings", value),
        };
        if (stops.Count > MostStops)
            throw ApiException.Invalid("stop", $"'stop' has {stops.Count} texts: at most {MostStops} are allowed.");
        if (stops.Find(static stop => stop.Length > LongestStop) is { } longest)
            throw ApiException.Invalid("stop", $"'stop' holds a text of {longest.Length} characters: at most {LongestStop} are allowed.");
        return stops.TrueForAll(stop => stop.Length > 0) ? stops : throw ApiException.Invalid("stop", "'stop' holds an empty text.");
    }

    private static FrozenSet<int> StopTokensOf(RequestBody body, int vocabulary)
    {
        if (body.Get("stop_token_ids") is not { } value)
            return [];
        if (value.ValueKind != JsonValueKind.Array)
            throw body.Wrong("stop_token_ids", "an array of token ids", value);
        return value.GetArrayLength() <= MostStopTokens
            ? [.. TokenIds.Read(value, "stop_token_ids", vocabulary)]
            : throw ApiException.Invalid("stop_token_ids", $"'stop_token_ids' has {value.GetArrayLength()} tokens: at most {MostStopTokens} are allowed.");
    }

    private static Dictionary<int, float> Biases(RequestBody body, int vocabulary)
    {
        var biases = new Dictionary<int, float>();
        if (body.Object("logit_bias") is not { } fields)
            return biases;
        foreach (var field in fields.Fields())
        {
            if (!int.TryParse(field.Name, NumberStyles.None, CultureInfo.InvariantCulture, out var token) || token >= vocabulary || (field.Name[0] == '0' && field.Name.Length > 1))
                throw ApiException.Invalid("logit_bias", $"'logit_bias' names '{field.Name}': a token id from 0 to {vocabulary - 1} is expected.");
            biases[token] = (float)(fields.Number(field.Name, -100, 100) ?? throw fields.Wrong(field.Name, "a number", field.Value));
        }

        return biases;
    }
}
