using System.Text;

namespace Moebius.Inference.Engine;

/// <summary>
/// How an error that nobody foresaw is logged: by its type and place. Its message may quote what a user wrote, but for what
/// files and devices say.
/// </summary>
internal static class FailureText
{
    /// <summary>The text for a log.</summary>
    public static string Of(Exception error)
    {
        var text = new StringBuilder();
        for (var one = error; one is not null; one = one.InnerException)
        {
            text.Append(one == error ? "" : $"{Environment.NewLine}caused by ").Append(one.GetType().FullName);
            if (one is IOException or UnauthorizedAccessException)
                text.Append(": ").Append(one.Message);
            if (one.StackTrace is { } stack)
                text.AppendLine().Append(stack);
        }

        return text.ToString();
    }
}
