using System.Text;
using System.Text.Json;

namespace Moebius.KubernetesEnvironment;

/// <summary>
/// Every request that the API server answered. A test takes a mark, does something or waits, and reads what came after:
/// <code>
/// var mark = await server.Audit.MarkAsync();
/// await Task.Delay(...);
/// Assert.Empty(await server.Audit.WritesSinceAsync(mark, "my-operator"));
/// </code>
/// </summary>
public sealed class AuditLog
{
    private const string MarkAgent = "moebius-audit-mark/";

    private readonly string _file;
    private readonly ApiConnection _server;
    private readonly TimeSpan _timeout;

    /// <param name="file">The log file, one JSON event per line.</param>
    /// <param name="server">The server that writes it.</param>
    /// <param name="timeout">How long the server may take to log a request.</param>
    internal AuditLog(string file, ApiConnection server, TimeSpan timeout)
    {
        _file = file;
        _server = server;
        _timeout = timeout;
    }

    /// <summary>Marks this moment: what was answered before is before the mark, although the server may log it after the answer, and so after the mark.</summary>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task<AuditMark> MarkAsync(CancellationToken cancellationToken = default)
    {
        var agent = MarkAgent + Guid.NewGuid().ToString("N");
        var from = File.Exists(_file) ? new FileInfo(_file).Length : 0;
        await _server.SignalAsync("version", agent, cancellationToken).ConfigureAwait(false);
        string? found = null;
        await _server.UntilAsync(
            "the request that marks the audit log is logged",
            _ => Task.FromResult((found = Lines(from).FirstOrDefault(line => line.Contains(agent, StringComparison.Ordinal))) is not null),
            _timeout,
            cancellationToken).ConfigureAwait(false);
        return new AuditMark(from, Parse(found!).Received);
    }

    /// <summary>The requests that the server has received since a mark, and has logged by now; oldest answer first.</summary>
    /// <param name="mark">Where to begin.</param>
    /// <param name="userAgent">Only clients whose user agent begins so; null for all.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task<IReadOnlyList<AuditEvent>> SinceAsync(AuditMark mark, string? userAgent = null, CancellationToken cancellationToken = default)
    {
        await MarkAsync(cancellationToken).ConfigureAwait(false);
        return [.. Lines(mark.Offset)
            .Select(Parse)
            .Where(e => e.Received > mark.Received && !e.UserAgent.StartsWith(MarkAgent, StringComparison.Ordinal))
            .Where(e => userAgent is null || e.UserAgent.StartsWith(userAgent, StringComparison.Ordinal))];
    }

    /// <summary>The requests with a verb that changes something, received since a mark.</summary>
    /// <param name="mark">Where to begin.</param>
    /// <param name="userAgent">Only clients whose user agent begins so; null for all.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task<IReadOnlyList<AuditEvent>> WritesSinceAsync(AuditMark mark, string? userAgent = null, CancellationToken cancellationToken = default) =>
        [.. (await SinceAsync(mark, userAgent, cancellationToken).ConfigureAwait(false)).Where(e => e.IsWrite)];

    internal static AuditEvent Parse(string line)
    {
        using var document = JsonDocument.Parse(line);
        var root = document.RootElement;
        return new AuditEvent(
            root.GetProperty("requestReceivedTimestamp").GetDateTimeOffset(),
            Text(root, "verb"),
            Text(root, "requestURI"),
            Text(root, "user", "username"),
            Text(root, "userAgent"),
            Text(root, "objectRef", "apiGroup"),
            Text(root, "objectRef", "resource"),
            Text(root, "objectRef", "subresource"),
            Text(root, "objectRef", "namespace"),
            Text(root, "objectRef", "name"),
            root.TryGetProperty("responseStatus", out var status) && status.TryGetProperty("code", out var code) ? code.GetInt32() : 0);
    }

    private static string Text(JsonElement element, params ReadOnlySpan<string> path)
    {
        foreach (var name in path)
        {
            if (!element.TryGetProperty(name, out element))
                return "";
        }

        return element.GetString() ?? "";
    }

    /// <summary>The complete lines from an offset on.</summary>
    private IEnumerable<string> Lines(long offset)
    {
        if (!File.Exists(_file))
            yield break;
        using var stream = new FileStream(_file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        stream.Position = offset;
        var bytes = new byte[stream.Length - offset];
        stream.ReadExactly(bytes);
        var start = 0;
        for (var i = 0; i < bytes.Length; i++)
        {
            if (bytes[i] != '\n')
                continue;
            yield return Encoding.UTF8.GetString(bytes, start, i - start);
            start = i + 1;
        }
    }
}
