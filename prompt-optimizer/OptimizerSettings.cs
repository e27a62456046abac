using System.Globalization;
using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;
using Moebius.PromptOptimizer.Jobs;

namespace Moebius.PromptOptimizer;

/// <summary>An endpoint with everything needed to call it.</summary>
/// <param name="Field">The configuration field it came from, for messages.</param>
/// <param name="Url">Base URL, with a slash at its end.</param>
/// <param name="Model">The model to ask for.</param>
/// <param name="ApiKey">Bearer token; null for an endpoint without one.</param>
/// <param name="Timeout">How long one call may take.</param>
internal sealed record EndpointSettings(string Field, Uri Url, string Model, string? ApiKey, TimeSpan Timeout);

/// <summary>Where images are made, and in which dialect the prompts for them are written.</summary>
internal sealed record ImageSettings(EndpointSettings Endpoint, string Size, ImageApi Api, PromptDialect Dialect)
{
    /// <summary>Width and height in pixels.</summary>
    public (int Width, int Height) Pixels => Size.Split('x') is [var width, var height]
        ? (int.Parse(width, CultureInfo.InvariantCulture), int.Parse(height, CultureInfo.InvariantCulture))
        : throw new InvalidOperationException($"size '{Size}'");
}

/// <summary>Limits of one request or of one piece of feedback.</summary>
internal sealed record JobLimits(int Rounds, int Tokens, int Images, TimeSpan Deadline);

/// <summary>What becomes of jobs before and after their time.</summary>
/// <param name="Retention">How long an ended job is kept; null: until somebody removes it.</param>
/// <param name="MaxWaiting">Most jobs that wait.</param>
internal sealed record JobsSettings(TimeSpan? Retention, int MaxWaiting);

/// <summary>The configuration file, checked and resolved: every field in it is honoured, or loading fails.</summary>
internal sealed record OptimizerSettings(
    EndpointSettings LanguageModel,
    EndpointSettings? VisionModel,
    ImageSettings? ImageModel,
    int AcceptScorePercent,
    JobLimits DefaultLimits,
    int Workers,
    string? ClipFolder = null)
{
    /// <summary>Where the operator mounts the claim or image of <c>scorer.clip</c>.</summary>
    public const string DefaultClipRoot = "/models/clip";

    /// <summary>How long jobs are kept, and how many may wait.</summary>
    public JobsSettings Jobs { get; init; } = new(null, new JobsSpec().MaxWaiting);

    /// <summary>The PostgreSQL database; null: the file.</summary>
    public StoreConnection? Store { get; init; }

    public static OptimizerSettings Load(string path, Func<string, string?> environment, string clipRoot) =>
        From(Manifests.LoadFile<PromptOptimizerConfig>(path), path, environment, clipRoot);

    /// <param name="config">The file's content.</param>
    /// <param name="source">Its name, for messages.</param>
    /// <param name="environment">Reads a variable.</param>
    /// <param name="clipRoot">Folder in which <c>scorer.clip.path</c> is looked for.</param>
    /// <exception cref="UserInputException">A value is out of bounds or cannot be honoured.</exception>
    public static OptimizerSettings From(PromptOptimizerConfig config, string source, Func<string, string?> environment, string clipRoot = DefaultClipRoot)
    {
        SpecCheck.Require(config, "", source);
        if (config.Scorer.Type != ScorerType.Text && config.ImageModel is null)
            throw new UserInputException($"{source}: scorer.type: '{config.Scorer.Type}' judges images and imageModel is not set: set imageModel, or write Text");

        return new(
            Endpoint(config.LanguageModel, "languageModel", ContainerVariables.LanguageModelKey, source, environment),
            config.Scorer.Endpoint is { } vision ? Endpoint(vision, "scorer.endpoint", ContainerVariables.ScorerKey, source, environment) : null,
            config.ImageModel is { } images
                ? new(Endpoint(images.Endpoint, "imageModel.endpoint", ContainerVariables.ImageModelKey, source, environment), images.Size, images.Api,
                    images.Dialect ?? (images.Api == ImageApi.OpenAI ? PromptDialect.DallE : PromptDialect.StableDiffusion))
                : null,
            config.Rounds.AcceptScorePercent,
            new(config.Rounds.Max, config.DefaultBudget.Tokens, config.DefaultBudget.Images, Durations.ParsePositive(config.DefaultBudget.Deadline, $"{source}: defaultBudget.deadline")),
            config.Workers,
            config.Scorer.Clip is { } clip ? Path.GetFullPath(Path.Combine(clipRoot, clip.Path)) : null)
        {
            Jobs = new(config.Jobs.Retention is { } retention ? Durations.Parse(retention, $"{source}: jobs.retention") : null, config.Jobs.MaxWaiting),
            Store = Connection(config.Store, source, environment),
        };
    }

    private static StoreConnection? Connection(JobStoreType store, string source, Func<string, string?> environment)
    {
        var (connection, authority) = (environment(ContainerVariables.StoreConnection), environment(ContainerVariables.StoreAuthority));
        if (store == JobStoreType.PostgreSQL)
            return StoreConnection.Parse(connection, authority);
        // Who set it wants its jobs there.
        foreach (var (variable, value) in new[] { (ContainerVariables.StoreConnection, connection), (ContainerVariables.StoreAuthority, authority) })
        {
            if (!string.IsNullOrEmpty(value))
                throw new UserInputException($"{source}: store: is {store}, and the variable {variable} is set: write store: PostgreSQL, or unset it");
        }

        return null;
    }

    private static EndpointSettings Endpoint(ModelEndpoint endpoint, string field, string variable, string source, Func<string, string?> environment)
    {
        var url = EndpointUrl.Parse(endpoint, $"{source}: {field}");
        var key = environment(variable) is { Length: > 0 } value ? value.Trim() : null;
        if (endpoint.ApiKeySecretRef is not null && key is null)
            throw new UserInputException($"{source}: {field}.apiKeySecretRef: is set, but the variable {variable} is empty: put the key there");
        // As a header it would fail every call, with a message about the endpoint.
        if (key?.Any(character => character is <= ' ' or > '~') == true)
            throw new UserInputException($"{source}: {field}: the key in {variable} holds blanks, line breaks or letters outside ASCII, which no header can carry: put the key alone there");
        return new(field, new Uri(url.AbsoluteUri.TrimEnd('/') + "/"), endpoint.Model, key, Durations.ParsePositive(endpoint.Timeout, $"{source}: {field}.timeout"));
    }
}
