using System.Diagnostics;

namespace Moebius.Images;

/// <summary>Programs of the machine.</summary>
internal static class Shell
{
    /// <summary>Runs a program to its end; its standard error goes to this process's own.</summary>
    /// <returns>What it wrote to standard output.</returns>
    /// <exception cref="ImageException">It failed.</exception>
    public static async Task<string> RunAsync(string program, IEnumerable<string> arguments, CancellationToken cancellationToken)
    {
        using var process = Start(program, arguments);
        var output = await process.StandardOutput.ReadToEndAsync(cancellationToken);
        await EndAsync(process, program, cancellationToken);
        return output;
    }

    /// <summary>Runs a program to its end while its standard output is read as bytes.</summary>
    /// <exception cref="ImageException">It failed.</exception>
    public static async Task ReadAsync(string program, IEnumerable<string> arguments, Func<Stream, Task> read, CancellationToken cancellationToken)
    {
        using var process = Start(program, arguments);
        await read(process.StandardOutput.BaseStream);
        // Padding after the last entry of an archive is not part of what was read.
        await process.StandardOutput.BaseStream.CopyToAsync(Stream.Null, cancellationToken);
        await EndAsync(process, program, cancellationToken);
    }

    private static Process Start(string program, IEnumerable<string> arguments)
    {
        try
        {
            return Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
        }
        catch (System.ComponentModel.Win32Exception error)
        {
            throw new ImageException($"{program} does not run: {error.Message}");
        }
    }

    private static async Task EndAsync(Process process, string program, CancellationToken cancellationToken)
    {
        await process.WaitForExitAsync(cancellationToken);
        if (process.ExitCode != 0)
            throw new ImageException($"{program} ended with {process.ExitCode}");
    }
}
