using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Unicode;
using Microsoft.AspNetCore.Http;
using Moebius.Crds;
using Moebius.Crds.Validation;

namespace Moebius.PromptOptimizer.Api;

/// <summary>An error for a client, as problem details (RFC 9457).</summary>
/// <param name="Status">HTTP status.</param>
/// <param name="Title">What kind of problem it is.</param>
/// <param name="Detail">What is wrong and what would be right.</param>
/// <param name="Errors">Fields and their problems.</param>
internal sealed record Problem(int Status, string Title, string Detail, IReadOnlyDictionary<string, string[]>? Errors = null)
{
    public string Type { get; } = "about:blank";

    public static Problem Of(IReadOnlyList<FieldError> errors) => new(
        StatusCodes.Status400BadRequest,
        "The request cannot be honoured",
        string.Join("; ", errors),
        errors.GroupBy(error => error.Path).ToDictionary(group => group.Key, group => group.Select(error => error.Message).ToArray()));

    public static Problem Of(string field, string problem) => Of([new(field, problem)]);

    public static Problem NotFound(string id) =>
        new(StatusCodes.Status404NotFound, "No such job", $"id: there is no job '{(id.Length > 64 ? id[..64] : id)}'");
}

/// <summary>A problem on its way to the client.</summary>
internal sealed class ProblemException(Problem problem) : Exception(problem.Title)
{
    public Problem Problem { get; } = problem;
}

/// <summary>Writes JSON in the project's dialect, and reads bodies strictly.</summary>
internal static class Wire
{
    private const int MaxBody = 64 * 1024;
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false, MaxDepth = 16 };

    public static IResult Json<T>(T value, int status = StatusCodes.Status200OK) => Results.Json(value, Manifests.Json, "application/json", status);

    public static IResult Json(Problem problem) => Results.Json(problem, Manifests.Json, "application/problem+json", problem.Status);

    /// <exception cref="ProblemException">Not JSON, too large, an unknown field, or a value out of bounds.</exception>
    public static async Task<T> ReadAsync<T>(HttpContext context) where T : notnull
    {
        // A page of another origin can send a form without asking, but not this type.
        if (!context.Request.HasJsonContentType())
            throw new ProblemException(new(StatusCodes.Status415UnsupportedMediaType, "Unsupported media type", "Content-Type: write application/json"));
        var value = Convert<T>(await BodyAsync(context).ConfigureAwait(false));
        var errors = SpecCheck.Errors(value, "");
        return errors.Count == 0 ? value : throw new ProblemException(Problem.Of(errors));
    }

    private static async Task<JsonNode> BodyAsync(HttpContext context)
    {
        using var buffer = new MemoryStream();
        var chunk = new byte[8192];
        int read;
        while ((read = await context.Request.Body.ReadAsync(chunk, context.RequestAborted).ConfigureAwait(false)) > 0)
        {
            buffer.Write(chunk, 0, read);
            if (buffer.Length > MaxBody)
                throw new ProblemException(new(StatusCodes.Status413PayloadTooLarge, "Body too large", $"body: at most {MaxBody} bytes"));
        }

        var body = buffer.ToArray();
        // Else what is none is read as other letters, and a prompt is not what its user wrote.
        if (!Utf8.IsValid(body))
            throw new ProblemException(Problem.Of("body", "is not UTF-8"));
        try
        {
            using var document = JsonDocument.Parse(body, Strict);
            return JsonSerializer.SerializeToNode(document.RootElement) as JsonObject
                ?? throw new ProblemException(Problem.Of("body", "expected a JSON object"));
        }
        catch (JsonException error)
        {
            throw new ProblemException(Problem.Of("body", $"not valid JSON at line {error.LineNumber + 1}, byte {error.BytePositionInLine}"));
        }
        catch (InvalidOperationException)
        {
            throw new ProblemException(Problem.Of("body", "a name holds half of a surrogate pair"));
        }
    }

    private static T Convert<T>(JsonNode body)
    {
        try
        {
            return Manifests.Convert<T>(body, "body");
        }
        catch (UserInputException error)
        {
            // "body: field: what is wrong", where the field of a missing one is the whole document.
            var parts = error.Message.Split(": ", 3);
            throw new ProblemException(parts is [_, var field, var problem]
                ? Problem.Of(field == "document" ? "body" : field, problem)
                : Problem.Of("body", error.Message));
        }
        catch (InvalidOperationException)
        {
            throw new ProblemException(Problem.Of("body", "a text holds half of a surrogate pair"));
        }
    }
}
