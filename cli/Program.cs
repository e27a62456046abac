using System.CommandLine;
using System.CommandLine.Invocation;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Moebius.Cli;
using Moebius.Crds;

ParentWatch.Start();

var root = new RootCommand("Moebius serves Mixture-of-Experts models on machines whose fast memory is smaller than the model.");
foreach (var command in Commands.For(args.FirstOrDefault()))
    root.Add(command);

var parsed = root.Parse(args);

// One place turns signals into cancellation and errors into exit codes:
// 0 done, 1 ran and failed, 2 bad input (one line on standard error), 130 interrupted.
using var stop = new CancellationTokenSource();
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
// Where the shell limits the size of files, a write that meets the limit fails like one to a full disk, and what was begun is removed.
using var tooLarge = PosixSignalRegistration.Create((PosixSignal)25 /* SIGXFSZ */, context => context.Cancel = true);
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);

if (parsed.Action is not System.CommandLine.Help.HelpAction && ParseErrors.Find(parsed) is { } wrong)
{
    await Console.Error.WriteLineAsync(ErrorLine.Of(wrong));
    return ExitCodes.BadInput;
}

try
{
    return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }, stop.Token);
}
catch (UserInputException error)
{
    await Console.Error.WriteLineAsync(ErrorLine.Of(error.Message));
    return ExitCodes.BadInput;
}
catch (Exception error) when (error is IOException or UnauthorizedAccessException or HttpRequestException or SocketException)
{
    // A disk that is full, a file that may not be written, a server that is away: the message says which, and no stack helps.
    await Console.Error.WriteLineAsync(ErrorLine.Of(error.Message));
    return ExitCodes.Failed;
}
catch (ArgumentOutOfRangeException error) when (error.TargetSite?.DeclaringType == typeof(RandomAccess))
{
    // What the library makes of EFBIG.
    await Console.Error.WriteLineAsync(ErrorLine.Of("a file would be larger than its file system or this shell (ulimit -f) allows"));
    return ExitCodes.Failed;
}
catch (OperationCanceledException) when (stop.IsCancellationRequested)
{
    return ExitCodes.Interrupted;
}

// What can stop in order is asked to, once. A command that only computes, or a second signal, ends at once.
void Stop(PosixSignalContext context)
{
    context.Cancel = true;
    if (parsed.Action is not AsynchronousCommandLineAction || stop.IsCancellationRequested)
        Environment.Exit(ExitCodes.Interrupted);
    stop.Cancel();
}
