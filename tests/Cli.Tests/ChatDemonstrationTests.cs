using System.Net;
using System.Text;
using Moebius.Cli.Local;
using Moebius.KubernetesEnvironment;

namespace Moebius.Cli.Tests;

[Trait("Category", "Component")]
public sealed class ChatDemonstrationTests
{
    [Fact]
    public async Task A_server_that_fails_in_the_middle_of_an_answer_is_quoted()
    {
        using var server = new HttpListener();
        var address = new Uri($"http://127.0.0.1:{LoopbackPorts.Take()}/");
        server.Prefixes.Add(address.AbsoluteUri);
        server.Start();
        var answering = AnswerAsync(server, """{"data": [{"id": "m"}]}""", """
            data: {"choices": [{"delta": {"content": "It"}}]}

            data: {"error": {"message": "The model failed.", "type": "server_error"}}


            """);
        using var demonstration = new ChatDemonstration(address, address);
        var error = await Assert.ThrowsAsync<HttpRequestException>(() => demonstration.RunAsync("hello", TestContext.Current.CancellationToken));
        Assert.Equal("the server ended its answer: The model failed.", error.Message);
        await Eventually.EndsAsync(answering);
    }

    /// <summary>Answers as many requests as there are bodies.</summary>
    private static async Task AnswerAsync(HttpListener server, params string[] bodies)
    {
        foreach (var body in bodies)
        {
            var request = await server.GetContextAsync();
            await request.Response.OutputStream.WriteAsync(Encoding.UTF8.GetBytes(body));
            request.Response.Close();
        }
    }
}
