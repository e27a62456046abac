using System.CommandLine;
using Microsoft.Extensions.Logging;

namespace Moebius.Crds.Host;

/// <summary>How a program writes its log lines.</summary>
public enum LogFormat
{
    /// <summary>For people.</summary>
    Text,

    /// <summary>One object a line.</summary>
    Json,
}

/// <summary>The log of a program that serves, on its standard output.</summary>
public static class ConsoleLog
{
    /// <summary>Name of the option that chooses the format.</summary>
    public const string OptionName = "--log-format";

    /// <summary>The value that chooses JSON.</summary>
    public const string Json = "json";

    /// <summary>The time of a line, to the millisecond.</summary>
    private const string Timestamp = "yyyy-MM-ddTHH:mm:ss.fffZ";

    private const string Text = "text";

    /// <summary>The option that chooses the format.</summary>
    public static Option<string> Option() => new(OptionName)
    {
        Description = $"How log lines are written: '{Text}', or '{Json}' with one object a line.",
        DefaultValueFactory = _ => Text,
    };

    /// <summary>Reads the option's value.</summary>
    /// <param name="format">The value.</param>
    /// <exception cref="UserInputException">It is none of the two.</exception>
    public static LogFormat Parse(string format) => format switch
    {
        Text => LogFormat.Text,
        Json => LogFormat.Json,
        _ => throw new UserInputException($"{OptionName}: '{format}' is not known: write {Text} or {Json}"),
    };

    /// <summary>Writes log lines to the console, each with its time in UTC: the lines of several programs can be put in order.</summary>
    /// <param name="logging">What to add it to.</param>
    /// <param name="format">How.</param>
    public static ILoggingBuilder AddLines(this ILoggingBuilder logging, LogFormat format) => format == LogFormat.Json
        ? logging.AddJsonConsole(static console => (console.TimestampFormat, console.UseUtcTimestamp) = (Timestamp, true))
        : logging.AddSimpleConsole(static console => (console.SingleLine, console.TimestampFormat, console.UseUtcTimestamp) = (true, Timestamp + " ", true));
}
