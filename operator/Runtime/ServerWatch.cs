using Microsoft.Extensions.Logging;
using Moebius.Operator.Controllers;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Runtime;

/// <summary>
/// Keeps what is known of the API server's abilities as they are, in every replica: those that do not lead answer the webhook's
/// questions by them, and whoever leads next plans by them.
/// </summary>
/// <param name="context">Where they are kept.</param>
/// <param name="host">The server's address, for messages.</param>
/// <param name="time">Clock.</param>
/// <param name="logger">Log.</param>
internal sealed class ServerWatch(ControllerContext context, string host, TimeProvider time, ILogger<ServerWatch> logger) : IDisposable
{
    // One look at a time: each may start informers.
    private readonly SemaphoreSlim _looking = new(1, 1);

    /// <summary>Called after something has changed.</summary>
    public event Action? Changed;

    /// <summary>Asks until the server answers.</summary>
    public async Task<ServerCapabilities> AskAsync(CancellationToken cancellationToken)
    {
        var backoff = Backoff.PerWatch();
        for (var failures = 1; ; failures++)
        {
            try
            {
                return await Discovery.AskAsync(context.Api, cancellationToken).ConfigureAwait(false);
            }
            catch (Exception error) when (error is HttpRequestException or IOException or TimeoutException or System.Text.Json.JsonException or ApiException)
            {
                var delay = backoff.Delay(failures);
                logger.LogWarning("{Server} does not answer: {Error}; trying again in {Delay:0.0} s", host, error.Message, delay.TotalSeconds);
                await Task.Delay(delay, time, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Asks once more, and fills the caches that what is new there needs.</summary>
    /// <param name="life">How long informers run.</param>
    /// <param name="cancellationToken">Ends the look.</param>
    public async Task LookAsync(CancellationToken life, CancellationToken cancellationToken)
    {
        await _looking.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            var server = await AskAsync(cancellationToken).ConfigureAwait(false);
            if (server.Equals(context.Server))
                return;
            logger.LogInformation("The API server has changed: {Version}", server.Version);
            await context.Informers.StartAsync(server, life).ConfigureAwait(false);
            await context.Informers.SyncedAsync(cancellationToken).ConfigureAwait(false);
            context.Server = server;
        }
        finally
        {
            _looking.Release();
        }

        Changed?.Invoke();
    }

    /// <summary>Looks again and again until stopped.</summary>
    /// <param name="interval">Time between two looks.</param>
    /// <param name="life">How long it goes on.</param>
    public async Task RunAsync(TimeSpan interval, CancellationToken life)
    {
        try
        {
            while (true)
            {
                await Task.Delay(interval, time, life).ConfigureAwait(false);
                await LookAsync(life, life).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (life.IsCancellationRequested)
        {
            // Stopping.
        }
    }

    /// <inheritdoc />
    public void Dispose() => _looking.Dispose();
}
