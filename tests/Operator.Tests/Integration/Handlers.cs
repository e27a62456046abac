using System.Net;
using System.Text;

namespace Moebius.Operator.Tests.Integration;

/// <summary>Between an operator and the API server: ends the operator's life at a chosen write.</summary>
/// <param name="at">The write, from 1.</param>
/// <param name="arrives">Whether that write still reaches the server.</param>
internal sealed class DeathHandler(int at, bool arrives) : DelegatingHandler
{
    private readonly TaskCompletionSource _dead = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _writes;

    /// <summary>Completes at the write.</summary>
    public Task Dead => _dead.Task;

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        if (_dead.Task.IsCompleted)
            throw new HttpRequestException("the operator is dead");
        var isWrite = request.Method != HttpMethod.Get && !request.RequestUri!.AbsolutePath.Contains("/events", StringComparison.Ordinal);
        if (isWrite && Interlocked.Increment(ref _writes) == at)
        {
            if (arrives)
                (await base.SendAsync(request, cancellationToken)).Dispose();
            _dead.TrySetResult();
            throw new HttpRequestException("the operator has just died");
        }

        return await base.SendAsync(request, cancellationToken);
    }
}

/// <summary>Answers every watch with 410 Gone while it is told to, and counts all requests.</summary>
internal sealed class GoneHandler : DelegatingHandler
{
    private int _requests;

    public volatile bool Active = true;

    public int Requests => Volatile.Read(ref _requests);

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _requests);
        if (Active && request.RequestUri!.Query.Contains("watch=true", StringComparison.Ordinal))
        {
            return new HttpResponseMessage(HttpStatusCode.Gone)
            {
                Content = new StringContent("""{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,"message":"too old resource version"}""", Encoding.UTF8, "application/json"),
            };
        }

        return await base.SendAsync(request, cancellationToken);
    }
}

/// <summary>An API server that goes away: open connections break, new requests are not answered, or refused.</summary>
/// <param name="answer">What new requests are answered with; null: nothing listens.</param>
internal sealed class OutageHandler(HttpStatusCode? answer) : DelegatingHandler
{
    private CancellationTokenSource _cut = new();
    private volatile bool _away;
    private int _requests;
    private int _refusedLeases;

    public int Requests => Volatile.Read(ref _requests);

    /// <summary>Requests for a Lease that came while it was away.</summary>
    public int RefusedLeases => Volatile.Read(ref _refusedLeases);

    public void Begin()
    {
        _away = true;
        _cut.Cancel();
    }

    public void End()
    {
        _cut.Dispose();
        _cut = new CancellationTokenSource();
        _away = false;
    }

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _requests);
        if (_away && request.RequestUri!.AbsolutePath.Contains("/leases/", StringComparison.Ordinal))
            Interlocked.Increment(ref _refusedLeases);
        if (_away)
            return answer is { } status ? new HttpResponseMessage(status) { Content = new StringContent("") } : throw new HttpRequestException("connection refused");
        var response = await base.SendAsync(request, cancellationToken);
        if (request.RequestUri!.Query.Contains("watch=true", StringComparison.Ordinal))
            response.Content = new StreamContent(new CutStream(await response.Content.ReadAsStreamAsync(cancellationToken), _cut.Token));
        return response;
    }

    protected override void Dispose(bool disposing)
    {
        _cut.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>A stream whose connection can break.</summary>
    private sealed class CutStream(Stream inner, CancellationToken cut) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => inner.Length;

        public override long Position { get => inner.Position; set => inner.Position = value; }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cut, cancellationToken);
            try
            {
                return await inner.ReadAsync(buffer, either.Token);
            }
            catch (OperationCanceledException) when (cut.IsCancellationRequested)
            {
                throw new IOException("connection reset");
            }
        }

        public override int Read(byte[] buffer, int offset, int count) => inner.Read(buffer, offset, count);

        public override void Flush() => inner.Flush();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            inner.Dispose();
            base.Dispose(disposing);
        }
    }
}
