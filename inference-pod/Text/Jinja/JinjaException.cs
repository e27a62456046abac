namespace Moebius.Inference.Text.Jinja;

/// <summary>A template that cannot be read, or that refuses its input.</summary>
/// <param name="message">What is wrong.</param>
/// <param name="line">Line of the template, from 1; 0 where it is not known.</param>
internal sealed class JinjaException(string message, int line = 0) : Exception(line > 0 ? $"line {line}: {message}" : message)
{
    /// <summary>Raised by the template itself, through <c>raise_exception</c>.</summary>
    public bool ByTemplate { get; init; }
}
