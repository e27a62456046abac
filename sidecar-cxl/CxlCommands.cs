using System.CommandLine;
using Moebius.Cxl.Commands;

namespace Moebius.Cxl;

/// <summary>The commands of the node agent, for the one command-line entry.</summary>
public static class CxlCommands
{
    /// <summary>Creates <c>moebius cxl</c> with its verbs.</summary>
    public static IEnumerable<Command> Create()
    {
        yield return new Command("cxl", "Find CXL memory, watch who reads and who writes, and schedule them side by side.")
        {
            AgentCommand.Create(),
            TopologyCommand.Create(),
            SimulateCommand.Create(),
            BenchCommand.Create(),
            RestoreCommand.Create(),
        };
    }
}
