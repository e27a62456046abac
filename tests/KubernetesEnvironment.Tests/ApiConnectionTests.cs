using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Moebius.KubernetesEnvironment.Tests;

/// <summary>What an object's absence is told from.</summary>
[Trait("Category", "Component")]
public sealed class ApiConnectionTests
{
    [Theory]
    [InlineData(429)]
    [InlineData(500)]
    [InlineData(503)]
    [InlineData(504)]
    public async Task A_server_that_cannot_answer_yet_is_asked_again(int status)
    {
        await using var server = new PlayedServer(status, status, 200);
        Assert.Equal("yes", (string?)(await server.Api.FindAsync("api/v1/pods/a", TestContext.Current.CancellationToken))!["is"]);
        Assert.Equal(3, server.Requests);
    }

    [Fact]
    public async Task An_object_that_is_missing_is_missing_at_once_and_a_refusal_is_told()
    {
        await using var server = new PlayedServer(404, 403);
        Assert.Null(await server.Api.FindAsync("api/v1/pods/a", TestContext.Current.CancellationToken));
        var refusal = await Assert.ThrowsAsync<InvalidOperationException>(() => server.Api.FindAsync("api/v1/pods/a", TestContext.Current.CancellationToken));
        Assert.StartsWith("GET api/v1/pods/a was answered 403: ", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(2, server.Requests);
    }

    [Fact]
    public async Task A_server_that_never_answers_is_not_one_that_has_nothing()
    {
        await using var server = new PlayedServer(500);
        server.Api.Patience = TimeSpan.FromMilliseconds(200);
        var failure = await Assert.ThrowsAsync<InvalidOperationException>(() => server.Api.FindAsync("api/v1/pods/a", TestContext.Current.CancellationToken));
        Assert.StartsWith("GET api/v1/pods/a was answered 500: ", failure.Message, StringComparison.Ordinal);
    }

    /// <summary>Answers one request after the other with these codes, and all further ones with the last.</summary>
    private sealed class PlayedServer : IAsyncDisposable
    {
        private readonly int[] _codes;
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        private readonly CertificateAuthority _authority = new();
        private readonly CancellationTokenSource _stop = new();
        private readonly Task _serving;
        private int _requests;

        public PlayedServer(params int[] codes)
        {
            _codes = codes;
            _listener.Start();
            Api = new ApiConnection(((IPEndPoint)_listener.LocalEndpoint).Port, _authority.CertificatePem, _authority.IssueClient("admin"));
            _serving = ServeAsync();
        }

        public ApiConnection Api { get; }

        public int Requests => Volatile.Read(ref _requests);

        public async ValueTask DisposeAsync()
        {
            Api.Dispose();
            await _stop.CancelAsync();
            await _serving;
            _listener.Dispose();
            _stop.Dispose();
            _authority.Dispose();
        }

        private async Task ServeAsync()
        {
            var pair = _authority.IssueServer("played");
            using var certificate = X509Certificate2.CreateFromPem(pair.Certificate, pair.Key);
            try
            {
                while (true)
                {
                    using var client = await _listener.AcceptTcpClientAsync(_stop.Token);
                    await using var stream = new SslStream(client.GetStream());
                    await stream.AuthenticateAsServerAsync(certificate);
                    using var reader = new StreamReader(stream);
                    while (await reader.ReadLineAsync() is { Length: > 0 })
                    {
                    }

                    var code = _codes[Math.Min(Interlocked.Increment(ref _requests), _codes.Length) - 1];
                    await stream.WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 {code} Played\r\nContent-Length: 12\r\nConnection: close\r\n\r\n{{\"is\":\"yes\"}}"));
                }
            }
            catch (OperationCanceledException)
            {
                // Nobody asks any more.
            }
        }
    }
}
