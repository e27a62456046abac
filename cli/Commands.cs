using System.CommandLine;
using Moebius.Cli.Local;

namespace Moebius.Cli;

/// <summary>Every verb of the program, gathered from the rooms.</summary>
internal static class Commands
{
    public static IEnumerable<Command> All() => LocalCommands.Create();
}
