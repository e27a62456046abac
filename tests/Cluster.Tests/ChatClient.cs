using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace Moebius.Cluster.Tests;

/// <summary>A user of the model's Service, with a new connection for every request, as an ingress in front of it would.</summary>
internal sealed class ChatClient : IDisposable
{
    private readonly HttpClient _client;

    public ChatClient(string address)
    {
        _client = new HttpClient { BaseAddress = new Uri(address), Timeout = TimeSpan.FromMinutes(3) };
        _client.DefaultRequestHeaders.ConnectionClose = true;
        _client.DefaultRequestHeaders.Add("X-Moebius-Tenant", "alice");
    }

    /// <summary>Asks and waits for the whole answer.</summary>
    public async Task<string> AskAsync(string question)
    {
        using var response = await _client.PostAsJsonAsync("v1/chat/completions", Body(question, stream: false));
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, $"{(int)response.StatusCode}: {text}");
        return (string)JsonNode.Parse(text)!["choices"]![0]!["message"]!["content"]!;
    }

    /// <summary>Asks and reads the answer as it is made.</summary>
    /// <exception cref="InvalidDataException">The stream ended before the answer did.</exception>
    public async Task<string> StreamAsync(string question, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/chat/completions") { Content = JsonContent.Create(Body(question, stream: true)) };
        using var response = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
        response.EnsureSuccessStatusCode();
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(cancellationToken));
        var answer = new System.Text.StringBuilder();
        while (await reader.ReadLineAsync(cancellationToken) is { } line)
        {
            if (line == "data: [DONE]")
                return answer.ToString();
            if (line.StartsWith("data: ", StringComparison.Ordinal))
                answer.Append((string?)JsonNode.Parse(line["data: ".Length..])!["choices"]?.AsArray().FirstOrDefault()?["delta"]?["content"]);
        }

        throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture, $"the stream ended after {answer.Length} characters without [DONE]"));
    }

    public void Dispose() => _client.Dispose();

    private static object Body(string question, bool stream) => new
    {
        model = "austen",
        messages = new[] { new { role = "user", content = question } },
        max_tokens = 48,
        temperature = 0,
        stream,
    };
}
