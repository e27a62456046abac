using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Microsoft.Extensions.Logging;
using Moebius.Crds;
using Moebius.Inference.Engine;
using Moebius.Inference.Tests.Engine;

namespace Moebius.Inference.Tests.Server;

/// <summary>What the server shows to whom, and whom it answers.</summary>
[Trait("Category", "Component")]
public class ExposureTests
{
    private const string Hello = """{"model":"toy","prompt":"Hello","max_tokens":1}""";

    [Fact]
    public async Task Metrics_with_an_address_of_their_own_are_not_with_the_API()
    {
        await using var harness = await ServerHarness.StartAsync(ServerHarness.Options with { MetricsListen = new IPEndPoint(IPAddress.Loopback, 0) });
        Assert.Equal(HttpStatusCode.NotFound, await StatusAsync(harness, HttpMethod.Get, "metrics"));
        Assert.Equal(HttpStatusCode.OK, (await harness.PostAsync("v1/completions", Hello)).Status);
        using var metrics = new HttpClient { BaseAddress = harness.Server.MetricsAddress };
        Assert.NotEqual(harness.Server.Address, metrics.BaseAddress);
        Assert.Contains("\nvllm:num_requests_running{", await metrics.GetStringAsync(new Uri("metrics", UriKind.Relative), TestContext.Current.CancellationToken), StringComparison.Ordinal);
        foreach (var probe in new[] { "healthz", "readyz" })
        {
            Assert.Equal(HttpStatusCode.OK, (await metrics.GetAsync(new Uri(probe, UriKind.Relative), TestContext.Current.CancellationToken)).StatusCode);
            Assert.Equal(HttpStatusCode.OK, await StatusAsync(harness, HttpMethod.Get, probe));
        }

        using var content = new StringContent(Hello, Encoding.UTF8, "application/json");
        Assert.Equal(HttpStatusCode.NotFound, (await metrics.PostAsync(new Uri("v1/completions", UriKind.Relative), content, TestContext.Current.CancellationToken)).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await metrics.GetAsync(new Uri("v1/models", UriKind.Relative), TestContext.Current.CancellationToken)).StatusCode);
    }

    [Fact]
    public async Task A_port_of_the_metrics_that_is_taken_is_told_of_by_its_flag()
    {
        await using var harness = await ServerHarness.StartAsync();
        var taken = new IPEndPoint(IPAddress.Loopback, harness.Server.Address.Port);
        var error = await Assert.ThrowsAsync<UserInputException>(async () => await ServerHarness.StartAsync(ServerHarness.Options with { MetricsListen = taken }));
        Assert.StartsWith($"--metrics-listen: cannot listen on {taken}: ", error.Message, StringComparison.Ordinal);
        error = await Assert.ThrowsAsync<UserInputException>(async () => await ServerHarness.StartAsync(ServerHarness.Options with { Listen = taken, MetricsListen = new IPEndPoint(IPAddress.Loopback, 0) }));
        Assert.StartsWith($"--listen: cannot listen on {taken}: ", error.Message, StringComparison.Ordinal);
        // One text is the beginning of the other; and an error that names no address.
        error = await Assert.ThrowsAsync<UserInputException>(async () => await ServerHarness.StartAsync(ServerHarness.Options with { Listen = taken, MetricsListen = new IPEndPoint(IPAddress.Loopback, taken.Port / 10) }));
        Assert.StartsWith($"--listen: cannot listen on {taken}: ", error.Message, StringComparison.Ordinal);
        var elsewhere = new IPEndPoint(IPAddress.Parse("192.0.2.1"), 9400);
        error = await Assert.ThrowsAsync<UserInputException>(async () => await ServerHarness.StartAsync(ServerHarness.Options with { MetricsListen = elsewhere }));
        Assert.StartsWith($"--metrics-listen: cannot listen on {elsewhere}: ", error.Message, StringComparison.Ordinal);
    }

    /// <summary>A page whose name resolves to 127.0.0.1 is asked for by that name.</summary>
    [Theory]
    [InlineData("localhost", true)]
    [InlineData("LocalHost:1", true)]
    [InlineData("127.0.0.1:65000", true)]
    [InlineData("[::1]", true)]
    [InlineData("rebound.example", false)]
    [InlineData("127.0.0.1.rebound.example:8000", false)]
    [InlineData("10.0.0.1", false)]
    public async Task A_server_on_loopback_answers_to_its_own_names_only(string host, bool answered)
    {
        await using var harness = await ServerHarness.StartAsync();
        foreach (var path in new[] { "v1/models", "healthz", "metrics" })
            Assert.Equal(answered ? HttpStatusCode.OK : HttpStatusCode.MisdirectedRequest, await StatusAsync(harness, HttpMethod.Get, path, host));
    }

    [Fact]
    public async Task A_server_for_others_answers_to_any_name()
    {
        await using var harness = await ServerHarness.StartAsync(ServerHarness.Options with { Listen = new IPEndPoint(IPAddress.Any, 0) });
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(harness, HttpMethod.Get, "v1/models", "models.example"));
    }

    [Theory]
    [InlineData("application/json", true)]
    [InlineData("Application/JSON; charset=utf-8", true)]
    [InlineData("application/vnd.openai+json", true)]
    [InlineData(null, false)]
    [InlineData("text/plain; a=json", false)]
    [InlineData("application/jsonp", false)]
    [InlineData("application/x-www-form-urlencoded", false)]
    public async Task A_body_has_to_say_that_it_is_JSON(string? type, bool taken)
    {
        await using var harness = await ServerHarness.StartAsync();
        using var content = new ByteArrayContent(Encoding.UTF8.GetBytes(Hello));
        content.Headers.ContentType = type is null ? null : MediaTypeHeaderValue.Parse(type);
        using var response = await harness.Http.PostAsync(new Uri("v1/completions", UriKind.Relative), content, TestContext.Current.CancellationToken);
        Assert.Equal(taken ? HttpStatusCode.OK : HttpStatusCode.UnsupportedMediaType, response.StatusCode);
        if (!taken)
            Assert.Contains("send application/json", await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_an_unforeseen_error_says_is_not_logged()
    {
        const string Said = "a user's words";
        var log = new CollectingLogger();
        var model = new ToyModel { BeforeStep = _ => throw new InvalidOperationException(Said, new FormatException(Said)) };
        await using (var harness = await ServerHarness.StartAsync(model: model, log: log))
            Assert.Equal(HttpStatusCode.InternalServerError, (await harness.PostAsync("v1/completions", Hello)).Status);

        var failure = Assert.Single(log.Entries, entry => entry.Level == LogLevel.Error).Text;
        Assert.DoesNotContain(Said, failure, StringComparison.Ordinal);
        Assert.StartsWith("A step of 1 sequences failed: System.InvalidOperationException", failure, StringComparison.Ordinal);
        Assert.Contains("caused by System.FormatException", failure, StringComparison.Ordinal);
        Assert.Contains(nameof(ToyModel.Forward), failure, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_file_says_is_logged() =>
        Assert.Equal("System.IO.IOException: expert 3 is corrupt", FailureText.Of(new IOException("expert 3 is corrupt")));

    private static async Task<HttpStatusCode> StatusAsync(ServerHarness harness, HttpMethod method, string path, string? host = null)
    {
        using var request = new HttpRequestMessage(method, new Uri($"http://127.0.0.1:{harness.Server.Address.Port}/{path}"));
        request.Headers.Host = host;
        using var response = await harness.Http.SendAsync(request, TestContext.Current.CancellationToken);
        return response.StatusCode;
    }
}
