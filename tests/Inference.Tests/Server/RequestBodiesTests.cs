using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Moebius.Inference.Server;

namespace Moebius.Inference.Tests.Server;

/// <summary>What bodies may take of the server's memory.</summary>
[Trait("Category", "Component")]
public class RequestBodiesTests
{
    private const string Hello = """{"model":"toy","prompt":"Hello","max_tokens":1}""";

    [Fact]
    public async Task Large_bodies_take_turns_and_small_ones_need_none()
    {
        await using var harness = await ServerHarness.StartAsync();
        var large = Hello[..^1] + ",\"user\":\"" + new string('a', 1 << 20) + "\"}";
        var open = new List<TcpClient>();
        try
        {
            // Each says that it will send as much as is allowed, and does so but for the last byte.
            for (var i = 0; i < RequestBodies.Room / RequestBodies.LargestBytes; i++)
                open.Add(await BeginAsync(harness, RequestBodies.LargestBytes));
            await Eventually.TrueAsync(async () => (await harness.PostAsync("v1/completions", large)).Status == HttpStatusCode.TooManyRequests, "a large body is refused");
            var (status, body, response) = await harness.PostAsync("v1/completions", large);
            Assert.Equal((HttpStatusCode.TooManyRequests, "bodies_full"), (status, (string?)body["error"]!["code"]));
            Assert.True(response.Headers.RetryAfter!.Delta > TimeSpan.Zero);
            var counted = await RejectedAsync(harness);
            Assert.True(counted >= 1, "what was refused is counted");
            Assert.Equal(HttpStatusCode.TooManyRequests, await ChunkedAsync(harness, large));
            Assert.Equal(counted + 1, await RejectedAsync(harness));
            Assert.Equal(HttpStatusCode.OK, (await harness.PostAsync("v1/completions", Hello)).Status);
            Assert.Equal(HttpStatusCode.OK, await ChunkedAsync(harness, Hello));
        }
        finally
        {
            open.ForEach(client => client.Dispose());
        }

        await Eventually.TrueAsync(async () => (await harness.PostAsync("v1/completions", large)).Status == HttpStatusCode.OK, "the room is free again");
        Assert.Equal(HttpStatusCode.OK, await ChunkedAsync(harness, large));
    }

    [Fact]
    public async Task A_body_may_be_as_large_as_the_largest_and_no_larger()
    {
        await using var harness = await ServerHarness.StartAsync();
        // Another body of the same tenant leaves just the room that it needs.
        using var open = await BeginAsync(harness, RequestBodies.LargestBytes - (1 << 20));
        var largest = Hello[..^1] + new string(' ', RequestBodies.LargestBytes - Hello.Length) + "}";
        Assert.Equal(HttpStatusCode.OK, await ChunkedAsync(harness, largest));
        Assert.Equal(HttpStatusCode.OK, (await harness.PostAsync("v1/completions", largest)).Status);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, await ChunkedAsync(harness, largest + " "));
    }

    [Fact]
    public async Task A_tenant_that_holds_all_the_room_leaves_the_others_their_share()
    {
        await using var harness = await ServerHarness.StartAsync();
        var large = Hello[..^1] + ",\"user\":\"" + new string('a', 1 << 20) + "\"}";
        var open = new List<TcpClient>();
        try
        {
            for (var i = 0; i < RequestBodies.Room / RequestBodies.LargestBytes; i++)
                open.Add(await BeginAsync(harness, RequestBodies.LargestBytes, "slow"));
            await Eventually.TrueAsync(async () => (await harness.PostAsync("v1/completions", large, "slow")).Status == HttpStatusCode.TooManyRequests, "its own bodies are refused");
            Assert.Equal(HttpStatusCode.OK, (await harness.PostAsync("v1/completions", large, "quick")).Status);
            Assert.Equal(HttpStatusCode.OK, await ChunkedAsync(harness, large, "quick"));
            Assert.Equal(HttpStatusCode.OK, (await harness.PostAsync("v1/completions", large)).Status);
            Assert.Equal(HttpStatusCode.TooManyRequests, await ChunkedAsync(harness, large, "slow"));
        }
        finally
        {
            open.ForEach(client => client.Dispose());
        }

        // Nothing that came in beside it is counted any more.
        await Eventually.TrueAsync(async () => (await harness.PostAsync("v1/completions", large, "slow")).Status == HttpStatusCode.OK, "the room is free again");
    }

    [Theory]
    [InlineData("Content-Length: 16777216\r\n\r\n{")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")]
    public async Task A_body_that_may_be_large_and_trickles_is_ended(string announced)
    {
        await using var harness = await ServerHarness.StartAsync();
        using var slow = new TcpClient();
        await slow.ConnectAsync(IPAddress.Loopback, harness.Server.Address.Port, TestContext.Current.CancellationToken);
        await slow.GetStream().WriteAsync(Encoding.ASCII.GetBytes("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + announced), TestContext.Current.CancellationToken);
        using var reader = new StreamReader(slow.GetStream());
        var answer = reader.ReadLineAsync(TestContext.Current.CancellationToken).AsTask();
        // Some kilobytes a second, for a minute at most.
        var blanks = new string(' ', 100);
        var piece = Encoding.ASCII.GetBytes(announced.StartsWith('C') ? blanks : $"64\r\n{blanks}\r\n");
        for (var i = 0; i < 1200 && !answer.IsCompleted; i++)
        {
            try
            {
                await slow.GetStream().WriteAsync(piece, TestContext.Current.CancellationToken);
            }
            catch (IOException)
            {
                // It is closed, and what it was told is still to be read.
            }

            await Task.WhenAny(answer, Task.Delay(50, TestContext.Current.CancellationToken));
        }

        Assert.True(answer.IsCompleted, "the server waits for the rest");
        Assert.Equal("HTTP/1.1 408 Request Timeout", await answer);
        Assert.Contains("too slowly", await Eventually.EndsAsync(reader.ReadToEndAsync(TestContext.Current.CancellationToken)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(60_000)]
    [InlineData(50_100)]
    public async Task What_a_small_body_announces_takes_no_memory_before_it_comes(int announced)
    {
        var body = new RecordingStream(Encoding.ASCII.GetBytes(Hello + new string(' ', 50_000)));
        var context = new DefaultHttpContext();
        context.Request.Body = body;
        context.Request.ContentType = "application/json";
        context.Request.ContentLength = announced;
        Assert.Equal("toy", await new RequestBodies().ReadAsync(context.Request, "", root => root.GetProperty("model").GetString(), CancellationToken.None));
        // Room for as many bytes as have come, and 4 KiB at the beginning.
        Assert.All(body.Reads, read => Assert.InRange(read.Room, 1, Math.Max(4096, read.Before + 1)));
    }

    [Fact]
    public async Task A_server_keeps_a_bounded_number_of_connections()
    {
        await using var harness = await ServerHarness.StartAsync(ServerHarness.Options with { MostConnections = 3 });
        var open = new List<TcpClient>();
        try
        {
            for (var i = 0; i < 3; i++)
                open.Add(await BeginAsync(harness, 60_000));
            await Eventually.TrueAsync(async () => !await IsAnsweredAsync(harness), "a connection beyond the bound is closed");
        }
        finally
        {
            open.ForEach(client => client.Dispose());
        }

        await Eventually.TrueAsync(() => IsAnsweredAsync(harness), "there is room for a connection again");
    }

    [Fact]
    public async Task A_body_of_very_many_values_is_refused()
    {
        await using var harness = await ServerHarness.StartAsync();
        var (status, body, _) = await harness.PostAsync("v1/completions", "{\"model\":\"toy\",\"prompt\":[" + string.Join(',', Enumerable.Repeat('1', RequestBodies.MostValues)) + "]}");
        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Contains($"more than {RequestBodies.MostValues} values", (string?)body["error"]!["message"], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(""" "metadata":{"a":[{},1,{"b":DIGITS}]}""", 4301, "metadata.a[2].b")]
    [InlineData(""" "temperature":-DIGITS""", 4301, "temperature")]
    [InlineData(""" "metadata":[-DIGITS]""", 4301, "metadata[0]")]
    [InlineData(""" "metadata":{"a":DIGITS}""", 4300, null)]
    [InlineData(""" "metadata":{"a":DIGITS.5,"b":0.DIGITS,"c":1e-1DIGITS}""", 4301, null)]
    public async Task An_integer_of_very_many_digits_is_refused_by_its_field(string field, int digits, string? param)
    {
        await using var harness = await ServerHarness.StartAsync();
        var (status, body, _) = await harness.PostAsync("v1/completions", "{\"model\":\"toy\",\"prompt\":\"a\",\"max_tokens\":1," + field.Replace("DIGITS", new string('7', digits), StringComparison.Ordinal) + "}");
        Assert.Equal((param is null ? 200 : 400, param), ((int)status, (string?)body["error"]?["param"]));
        if (param is not null)
            Assert.Contains("4300 digits", (string)body["error"]!["message"]!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_body_that_is_compressed_is_refused_by_name()
    {
        await using var harness = await ServerHarness.StartAsync();
        using var content = new StringContent(Hello, Encoding.UTF8, "application/json");
        content.Headers.ContentEncoding.Add("gzip");
        using var response = await harness.Http.PostAsync(new Uri("v1/completions", UriKind.Relative), content, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, response.StatusCode);
        Assert.Contains("gzip", await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_client_that_leaves_in_the_middle_of_its_body_is_no_error()
    {
        var log = new CollectingLogger();
        await using (var harness = await ServerHarness.StartAsync(log: log))
        {
            using var client = new TcpClient();
            await client.ConnectAsync(IPAddress.Loopback, harness.Server.Address.Port, TestContext.Current.CancellationToken);
            await client.GetStream().WriteAsync("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"u8.ToArray(), TestContext.Current.CancellationToken);
            // It is told to go on when the body is waited for.
            Assert.NotEqual(0, await Eventually.EndsAsync(client.GetStream().ReadAsync(new byte[100], TestContext.Current.CancellationToken).AsTask()));
            // Not in order, which would be the end of a body that is too short.
            client.Client.Close(0);
        }

        Assert.Empty(log.Entries.Where(entry => entry.Level >= LogLevel.Error).Select(entry => entry.Text));
    }

    /// <summary>Over a connection of its own.</summary>
    private static async Task<bool> IsAnsweredAsync(ServerHarness harness)
    {
        using var http = new HttpClient { BaseAddress = harness.Server.Address };
        try
        {
            return (await http.GetAsync(new Uri("healthz", UriKind.Relative), TestContext.Current.CancellationToken)).IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    /// <summary>A body without its end. What has come so far came fast enough for the server to wait a minute for the rest.</summary>
    private static async Task<TcpClient> BeginAsync(ServerHarness harness, int bytes, string tenant = "")
    {
        var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, harness.Server.Address.Port, TestContext.Current.CancellationToken);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes($"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-Moebius-Tenant: {tenant}\r\nContent-Length: {bytes}\r\n\r\n{{" + new string(' ', bytes - 2)), TestContext.Current.CancellationToken);
        return client;
    }

    private static async Task<int> RejectedAsync(ServerHarness harness) =>
        int.Parse((await harness.GetAsync("metrics")).Split('\n').Single(line => line.StartsWith("moebius_requests_rejected_total{", StringComparison.Ordinal)).Split(' ')[1], CultureInfo.InvariantCulture);

    /// <summary>Without saying how long it is.</summary>
    private static async Task<HttpStatusCode> ChunkedAsync(ServerHarness harness, string json, string tenant = "")
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri("v1/completions", UriKind.Relative)) { Content = new StringContent(json, Encoding.UTF8, "application/json") };
        request.Headers.TransferEncodingChunked = true;
        request.Headers.Add("X-Moebius-Tenant", tenant);
        using var response = await harness.Http.SendAsync(request, TestContext.Current.CancellationToken);
        return response.StatusCode;
    }

    /// <summary>A body that comes in pieces of 1,000 bytes and remembers how much room each read had.</summary>
    private sealed class RecordingStream(byte[] content) : MemoryStream(content)
    {
        public List<(long Before, int Room)> Reads { get; } = [];

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Reads.Add((Position, buffer.Length));
            return ValueTask.FromResult(Read(buffer.Span[..Math.Min(buffer.Length, 1000)]));
        }
    }
}
