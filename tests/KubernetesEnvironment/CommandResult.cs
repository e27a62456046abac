namespace Moebius.KubernetesEnvironment;

/// <summary>What a finished command left behind.</summary>
/// <param name="CommandLine">The command as one line, for messages.</param>
/// <param name="ExitCode">Its exit code; 0 is success.</param>
/// <param name="StandardOutput">All of its standard output.</param>
/// <param name="StandardError">All of its standard error.</param>
public sealed record CommandResult(string CommandLine, int ExitCode, string StandardOutput, string StandardError)
{
    /// <summary>Returns this result when the command succeeded.</summary>
    /// <exception cref="InvalidOperationException">It did not; the message holds the command and both outputs.</exception>
    public CommandResult EnsureSuccess() => ExitCode == 0
        ? this
        : throw new InvalidOperationException($"'{CommandLine}' exited with {ExitCode}:\n{StandardError}{StandardOutput}");
}
