using Moebius.Cli.Local;

namespace Moebius.Cli;

/// <summary>
/// A process started by the local runner must not outlive it, not even when the runner is killed outright. The runner
/// holds the write end of the process's standard input; when that closes, the process stops as if told by SIGTERM.
/// </summary>
internal static class ParentWatch
{
    /// <summary>Set to 1 in the environment of a process whose standard input is such a pipe.</summary>
    public const string Variable = "MOEBIUS_STOP_ON_STDIN_CLOSE";

    public static void Start()
    {
        if (Environment.GetEnvironmentVariable(Variable) != "1")
            return;
        var input = Console.OpenStandardInput();
        new Thread(() =>
        {
            while (input.ReadByte() >= 0)
            {
            }

            Native.Terminate(Environment.ProcessId);
            Thread.Sleep(TimeSpan.FromSeconds(60));
            Native.Kill(Environment.ProcessId);
        })
        { IsBackground = true, Name = "parent watch" }.Start();
    }
}
