namespace Moebius.Crds;

/// <summary>
/// Input from a user (a file, a field, a flag) that cannot be honoured. The message is one line and names the field or
/// file, the value, and what would be right. The command line prints it and exits with code 2; a controller turns it
/// into a condition.
/// </summary>
public sealed class UserInputException : Exception
{
    /// <summary>Creates the exception with its one-line message.</summary>
    public UserInputException(string message) : base(message)
    {
    }

    /// <summary>Creates the exception with its one-line message and the error underneath.</summary>
    public UserInputException(string message, Exception innerException) : base(message, innerException)
    {
    }
}
