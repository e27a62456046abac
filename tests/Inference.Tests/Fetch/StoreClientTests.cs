using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Time.Testing;
using Moebius.Crds;
using Moebius.Inference.Fetch;

namespace Moebius.Inference.Tests.Fetch;

/// <summary>How stores send elsewhere, stop in the middle, and say that there is no more.</summary>
public sealed class StoreClientTests : IAsyncLifetime
{
    private static readonly byte[] Weights = RandomNumberGenerator.GetBytes(3_000_000);

    private readonly TemporaryDirectory _store = new();
    private StoreServer _server = null!;
    private StoreServer _other = null!;

    private string Target => Path.Combine(_store.Path, "model");

    public async ValueTask InitializeAsync()
    {
        _server = await StoreServer.StartAsync();
        _other = await StoreServer.StartAsync();
        foreach (var server in new[] { _server, _other })
        {
            server.Files["config.json"] = Encoding.UTF8.GetBytes("{\"model_type\":\"mixtral\"}");
            server.Files["model.safetensors"] = Weights;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        await _other.DisposeAsync();
        _store.Dispose();
    }

    /// <summary>As the Hub does: small files lie in a cache of the same host, weights with somebody else.</summary>
    [Fact]
    public async Task The_token_goes_with_a_redirect_on_the_same_host_and_to_no_other()
    {
        _server.Redirect = name => name == "config.json" ? "/api/resolve-cache/config.json" : $"{_other.Url}files/{name}";
        _server.Cuts = 0;
        _other.Cuts = 1;
        await FetchAsync(TimeProvider.System);
        Assert.Equal(Weights, File.ReadAllBytes(Path.Combine(Target, "model.safetensors")));
        Assert.Contains(_server.Requests, request => request.Path == "/api/resolve-cache/config.json" && request.Authorization == $"Bearer {StoreServer.Token}");
        Assert.Equal(2, _other.Requests.Count);
        Assert.All(_other.Requests, request => Assert.Null(request.Authorization));
        Assert.NotNull(_other.Requests[1].Range);
    }

    [Fact]
    public async Task Redirects_without_end_are_an_error()
    {
        _server.Redirect = name => $"/o/m/resolve/c0ffee/{name}";
        using var http = StoreClient.Create(TimeProvider.System);
        var origin = Hub(http);
        var config = (await origin.ListAsync(TestContext.Current.CancellationToken)).Single(file => file.Name == "config.json");
        using var request = origin.Request(config, 0);
        var error = await Assert.ThrowsAsync<HttpRequestException>(() => http.SendAsync(request, TestContext.Current.CancellationToken));
        Assert.Equal("more than 10 redirects", error.Message);
        Assert.Equal(StoreClient.MostRedirects + 1, _server.Requests.Count(one => one.Path.EndsWith("config.json", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Only_addresses_of_the_web_are_followed()
    {
        _server.Redirect = _ => "ftp://example.com/config.json";
        var error = await Assert.ThrowsAsync<UserInputException>(() => FetchAsync(TimeProvider.System));
        Assert.StartsWith($"{_server.Url}o/m/resolve/c0ffee/config.json redirects to ftp://example.com/config.json, which is not encrypted: check the endpoint", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_store_that_stops_in_the_middle_is_asked_again_for_the_rest()
    {
        _server.Stalls = 1;
        var time = new FakeTimeProvider();
        var fetch = FetchAsync(time);
        while (!fetch.IsCompleted)
        {
            time.Advance(_server.Stalled ? Stalls.Most : TimeSpan.FromSeconds(1));
            await Task.Delay(100, TestContext.Current.CancellationToken);
        }

        Assert.Contains(await fetch, line => line.StartsWith("model.safetensors: nothing came for 60 s; going on in 1 s at byte", StringComparison.Ordinal));
        Assert.Equal(Weights, File.ReadAllBytes(Path.Combine(Target, "model.safetensors")));
    }

    /// <summary>Nobody says how long an archive is before its end: a process that ends while it checks the digest has all of it.</summary>
    [Fact]
    public async Task An_archive_that_is_here_is_not_fetched_again()
    {
        var archive = Path.Combine(_store.Path, "archive.part");
        var digest = Convert.ToHexStringLower(SHA256.HashData(Weights));
        File.WriteAllBytes(archive, Weights);
        using var http = StoreClient.Create(TimeProvider.System);
        var origin = new ArchiveOrigin($"{_server.Url}files/model.safetensors", digest);
        var file = (await origin.ListAsync(TestContext.Current.CancellationToken)).Single();
        await new Downloader(http, TimeProvider.System, _ => { }).DownloadAsync(origin, file, Path.Combine(_store.Path, "archive"), TestContext.Current.CancellationToken);
        Assert.Equal($"bytes={Weights.Length}-", Assert.Single(_server.Requests).Range);
        Assert.Equal(Weights, File.ReadAllBytes(Path.Combine(_store.Path, "archive")));
    }

    [Theory]
    [InlineData("s3://models/a", "https://models.s3.eu-north-1.amazonaws.com/a/x")]
    [InlineData("s3://my.models/a", "https://s3.eu-north-1.amazonaws.com/my.models/a/x")]
    public async Task A_bucket_with_dots_is_part_of_the_path(string bucket, string expected)
    {
        Uri? asked = null;
        using var http = new HttpClient(new Listener(request =>
        {
            asked = request.RequestUri;
            return new HttpResponseMessage { Content = new StringContent("<ListBucketResult><Contents><Key>a/x.json</Key><Size>1</Size></Contents></ListBucketResult>") };
        }));
        var files = await new S3Origin(http, bucket, null, "eu-north-1", null, TimeProvider.System).ListAsync(TestContext.Current.CancellationToken);
        Assert.Equal(expected + ".json", Assert.Single(files).Url.ToString());
        Assert.Equal(expected[..expected.LastIndexOf("a/", StringComparison.Ordinal)], asked!.GetLeftPart(UriPartial.Path));
    }

    [Fact]
    public async Task Another_region_is_named()
    {
        using var http = new HttpClient(new Listener(_ =>
        {
            var moved = new HttpResponseMessage(System.Net.HttpStatusCode.MovedPermanently);
            moved.Headers.Add("x-amz-bucket-region", "eu-north-1");
            return moved;
        }));
        var error = await Assert.ThrowsAsync<UserInputException>(() => new S3Origin(http, "s3://models/a", null, null, null, TimeProvider.System).ListAsync(TestContext.Current.CancellationToken));
        Assert.EndsWith("answers 301 Moved Permanently: the bucket is in eu-north-1: give that as the region", error.Message, StringComparison.Ordinal);
    }

    private HubOrigin Hub(HttpClient http) => new(http, _server.Url.ToString(), "o/m", "main", StoreServer.Token);

    private async Task<List<string>> FetchAsync(TimeProvider time)
    {
        var log = new List<string>();
        using var http = StoreClient.Create(time);
        await new ModelFetcher(http, time, log.Add).FetchAsync(Hub(http), Target, null, null, TestContext.Current.CancellationToken);
        return log;
    }

    private sealed class Listener(Func<HttpRequestMessage, HttpResponseMessage> answer) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) => Task.FromResult(answer(request));
    }
}
