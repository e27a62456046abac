using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Moebius.Inference.Tests.Fetch;

/// <summary>A server with the APIs of S3, the Hub and plain files, over real sockets, that can misbehave.</summary>
internal sealed class StoreServer : IAsyncDisposable
{
    public const string Token = "hub-secret";
    private readonly WebApplication _app;
    private int _cuts;

    private StoreServer(WebApplication app) => _app = app;

    public Dictionary<string, byte[]> Files { get; } = [];

    public Uri Url => new(_app.Urls.Single());

    /// <summary>How many answers with weights end in the middle.</summary>
    public int Cuts { set => _cuts = value; }

    /// <summary>Objects of the bucket were put there in several parts: what is said of them is no digest.</summary>
    public bool InParts { get; set; }

    /// <summary>Whether the half that was sent has arrived: a connection that is reset loses what was not read yet.</summary>
    public Func<bool> HalfHasArrived { get; set; } = () => true;

    /// <summary>Where the Hub's files are instead, by name; null where they are.</summary>
    public Func<string, string?> Redirect { get; set; } = _ => null;

    /// <summary>How many answers with weights stop in the middle and stay open.</summary>
    public int Stalls { get; set; }

    /// <summary>An answer has stopped in the middle, and its client still waits.</summary>
    public bool Stalled { get; private set; }

    public List<(string Path, string? Range, string? Authorization)> Requests { get; } = [];

    /// <summary>Starts.</summary>
    /// <param name="url">Where it listens; port 0 is a free one.</param>
    public static async Task<StoreServer> StartAsync(string url = "http://127.0.0.1:0")
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls(url);
        var app = builder.Build();
        var server = new StoreServer(app);
        app.Use(async (context, next) =>
        {
            lock (server.Requests)
                server.Requests.Add((context.Request.Path, context.Request.Headers.Range, context.Request.Headers.Authorization));
            await next();
        });
        app.MapGet("/files/{name}", (HttpContext context, string name) => server.SendAsync(context, name));
        app.MapGet("/api/models/o/m/revision/{revision}", (HttpContext context, string revision) => !Allowed(context) ? Results.StatusCode(401) : revision == "main" ? Results.Text("{\"sha\":\"c0ffee\"}") : Results.NotFound());
        app.MapGet("/api/models/o/m/tree/c0ffee", (HttpContext context, string? cursor) => server.Tree(context, cursor));
        app.MapGet("/o/m/resolve/c0ffee/{name}", (HttpContext context, string name) => server.ResolveAsync(context, name));
        app.MapGet("/api/resolve-cache/{name}", (HttpContext context, string name) => Allowed(context) ? server.SendAsync(context, name) : Task.FromResult(context.Response.StatusCode = 401));
        app.MapGet("/bucket/", (HttpContext context) => server.Bucket(context));
        app.MapGet("/bucket/a/b/{name}", (HttpContext context, string name) => server.SendAsync(context, name));
        await app.StartAsync();
        return server;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private static bool Allowed(HttpContext context) => context.Request.Headers.Authorization == $"Bearer {Token}";

    private async Task ResolveAsync(HttpContext context, string name)
    {
        if (!Allowed(context))
            context.Response.StatusCode = 401;
        else if (Redirect(name) is not { } elsewhere)
            await SendAsync(context, name);
        else
            (context.Response.StatusCode, context.Response.Headers.Location) = (307, elsewhere);
    }

    /// <summary>Two pages, the second behind a Link.</summary>
    private IResult Tree(HttpContext context, string? cursor)
    {
        if (!Allowed(context))
            return Results.StatusCode(401);
        var names = Files.Keys.Order(StringComparer.Ordinal).ToList();
        if (cursor is null)
            context.Response.Headers.Link = "</api/models/o/m/tree/c0ffee?cursor=2>; rel=\"next\"";
        var page = cursor is null ? names.Take(1) : names.Skip(1);
        return Results.Text(new JsonArray([.. page.Select(name => (JsonNode)new JsonObject
        {
            ["type"] = "file",
            ["path"] = name,
            ["size"] = Files[name].Length,
            ["oid"] = Convert.ToHexStringLower(Git(Files[name])),
            ["lfs"] = name.EndsWith(".safetensors", StringComparison.Ordinal) ? new JsonObject { ["oid"] = Convert.ToHexStringLower(SHA256.HashData(Files[name])) } : null,
        })]).ToJsonString());
    }

    private IResult Bucket(HttpContext context)
    {
        var names = Files.Keys.Order(StringComparer.Ordinal).ToList();
        var second = context.Request.Query["continuation-token"] == "t=1/2";
        var page = second ? names.Skip(1) : names.Take(1);
        var text = new StringBuilder("""<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">""");
        text.Append(CultureInfo.InvariantCulture, $"<IsTruncated>{(second ? "false" : "true")}</IsTruncated><NextContinuationToken>t=1/2</NextContinuationToken>");
        foreach (var name in page)
            text.Append(CultureInfo.InvariantCulture, $"<Contents><Key>a/b/{name}</Key><Size>{Files[name].Length}</Size><ETag>{Tag(Files[name])}</ETag></Contents>");
        return Results.Text(text.Append("</ListBucketResult>").ToString(), "application/xml");
    }

    private async Task SendAsync(HttpContext context, string name)
    {
        if (!Files.TryGetValue(name, out var bytes))
        {
            context.Response.StatusCode = 404;
            return;
        }

        if (context.Request.Headers.IfMatch.ToString() is { Length: > 0 } tag && tag != Tag(bytes))
        {
            context.Response.StatusCode = 412;
            return;
        }

        var from = context.Request.Headers.Range.ToString() is { Length: > 6 } range ? int.Parse(range[6..].TrimEnd('-'), CultureInfo.InvariantCulture) : 0;
        if (from > 0 && from >= bytes.Length)
        {
            context.Response.StatusCode = 416;
            context.Response.Headers.ContentRange = $"bytes */{bytes.Length}";
            return;
        }

        if (from > 0)
            context.Response.StatusCode = 206;
        context.Response.ContentLength = bytes.Length - from;
        if (name.EndsWith(".safetensors", StringComparison.Ordinal) && Stalls > 0)
        {
            Stalls--;
            await context.Response.Body.WriteAsync(bytes.AsMemory(from, (bytes.Length - from) / 2));
            await context.Response.Body.FlushAsync();
            Stalled = true;
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => Stalled = false, TaskScheduler.Default);
            return;
        }

        if (name.EndsWith(".safetensors", StringComparison.Ordinal) && Interlocked.Decrement(ref _cuts) >= 0)
        {
            await context.Response.Body.WriteAsync(bytes.AsMemory(from, (bytes.Length - from) / 2));
            await context.Response.Body.FlushAsync();
            while (!HalfHasArrived() && !context.RequestAborted.IsCancellationRequested)
                await Task.Delay(10);
            context.Abort();
            return;
        }

        await context.Response.Body.WriteAsync(bytes.AsMemory(from));
    }

#pragma warning disable CA5351 // What S3 says of an object.
    private string Tag(byte[] bytes) => $"\"{Convert.ToHexStringLower(MD5.HashData(bytes))}{(InParts ? "-2" : "")}\"";
#pragma warning restore CA5351

#pragma warning disable CA5350 // Git's own.
    private static byte[] Git(byte[] bytes) => SHA1.HashData([.. Encoding.ASCII.GetBytes($"blob {bytes.Length}\0"), .. bytes]);
#pragma warning restore CA5350
}
