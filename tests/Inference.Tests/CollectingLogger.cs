using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Moebius.Inference.Tests;

/// <summary>Keeps what is logged, whoever logs it.</summary>
internal sealed class CollectingLogger : ILogger, ILoggerProvider
{
    public ConcurrentQueue<(LogLevel Level, string Text, Exception? Error)> Entries { get; } = [];

    public IEnumerable<string> Messages => Entries.Select(entry => entry.Text);

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        Entries.Enqueue((logLevel, formatter(state, exception), exception));

    public void Dispose()
    {
    }
}
