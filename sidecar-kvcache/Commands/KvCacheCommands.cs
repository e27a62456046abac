using System.CommandLine;

namespace Moebius.KvCache.Commands;

/// <summary>The verbs of the KV cache: <c>kvcache serve</c> and <c>policy test</c>.</summary>
public static class KvCacheCommands
{
    /// <summary>Creates the commands for the command line's root.</summary>
    public static IEnumerable<Command> Create() => [ServeCommand.Create(), PolicyTestCommand.Create()];
}
