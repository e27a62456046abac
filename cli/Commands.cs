using System.CommandLine;
using Moebius.Cli.Local;
using Moebius.Crds;
using Moebius.Cxl;
using Moebius.Inference.Fetch;
using Moebius.Inference.Models;
using Moebius.Inference.Server;
using Moebius.Inference.Simulation;
using Moebius.Inference.Verify;
using Moebius.KvCache.Commands;
using Moebius.Operator;
using Moebius.Operator.Planning;
using Moebius.PromptOptimizer;

namespace Moebius.Cli;

/// <summary>Every verb of the program, gathered from the parts.</summary>
internal static class Commands
{
    /// <summary>
    /// The commands that may be meant by the first word of the command line. A server loads nothing of the other parts: what
    /// it takes beside weights and caches is counted.
    /// </summary>
    public static IEnumerable<Command> For(string? word) => word == "serve" ? ServeCommands.Create() : All();

    public static IEnumerable<Command> All() =>
    [
        .. LocalCommands.Create(),
        .. OperatorCommands.Create(),
        .. CrdCommands.Create(ManifestPlanner.Refusals),
        .. ServeCommands.Create(),
        .. InferenceModelCommands.Create(),
        .. PlannerCommands.Create(),
        .. PackCommands.Create(),
        .. ModelCommands.Create(),
        .. KvCacheCommands.Create(),
        .. CxlCommands.Create(),
        .. PromptOptimizerCommands.Create(),
    ];
}
