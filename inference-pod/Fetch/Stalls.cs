using System.Globalization;

namespace Moebius.Inference.Fetch;

/// <summary>Ends waiting for a store of which nothing comes: a connection that its other side has forgotten stays open for ever.</summary>
internal static class Stalls
{
    /// <summary>Longest time without a byte.</summary>
    public static readonly TimeSpan Most = TimeSpan.FromSeconds(60);

    /// <summary>Waits for the next thing to come: headers, or a piece of a body.</summary>
    /// <exception cref="HttpRequestException">Nothing came, or the connection broke: trying again may help.</exception>
    public static async Task<T> LimitAsync<T>(Func<CancellationToken, Task<T>> next, TimeProvider time, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(Most, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        try
        {
            return await next(either.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException error) when (!cancellationToken.IsCancellationRequested)
        {
            throw new HttpRequestException(limit.IsCancellationRequested ? $"nothing came for {Most.TotalSeconds.ToString(CultureInfo.InvariantCulture)} s" : "no connection", error);
        }
        catch (IOException error)
        {
            // Of TLS that ends in the middle of a record comes no more than that.
            throw new HttpRequestException(error.Message, error);
        }
    }

    /// <summary>Reads the next piece of a body; 0 at its end.</summary>
    /// <inheritdoc cref="LimitAsync" path="/exception"/>
    public static Task<int> ReadAsync(Stream body, Memory<byte> piece, TimeProvider time, CancellationToken cancellationToken) =>
        LimitAsync(stop => body.ReadAsync(piece, stop).AsTask(), time, cancellationToken);
}
