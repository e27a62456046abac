using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;

namespace Moebius.Operator.Runtime;

/// <summary>Answers every write with what was written, and every question with 404, without a network. Only for <see cref="WarmUp"/>.</summary>
/// <param name="round">Writes of a status that make a round.</param>
internal sealed class EchoHandler(int round) : DelegatingHandler
{
    private TaskCompletionSource roundIsOver = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int statuses;
    private int answered;

    /// <summary>Requests so far.</summary>
    public int Answered => answered;

    /// <summary>Completes when a status has been written for each resource of the round that begins now.</summary>
    public Task NextRoundAsync(CancellationToken cancellationToken)
    {
        roundIsOver = new(TaskCreationOptions.RunContinuationsAsynchronously);
        return roundIsOver.Task.WaitAsync(cancellationToken);
    }

    /// <inheritdoc />
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var version = Interlocked.Increment(ref answered) + 1;
        if (request.Content is null)
            return Answer(HttpStatusCode.NotFound, new JsonObject { ["kind"] = "Status", ["code"] = 404, ["reason"] = "NotFound" });
        var echoed = (JsonObject)JsonNode.Parse(await request.Content.ReadAsStringAsync(cancellationToken).ConfigureAwait(false))!;
        echoed["metadata"]!["resourceVersion"] = version.ToString(CultureInfo.InvariantCulture);
        if (request.Method == HttpMethod.Put && Interlocked.Increment(ref statuses) % round == 0)
            roundIsOver.TrySetResult();
        return Answer(HttpStatusCode.OK, echoed);
    }

    private static HttpResponseMessage Answer(HttpStatusCode code, JsonObject body) =>
        new(code) { Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json") };
}
