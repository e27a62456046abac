using System.CommandLine;
using Moebius.Crds;
using Moebius.Cxl.Agent;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Commands;

/// <summary><c>moebius cxl restore</c>.</summary>
internal static class RestoreCommand
{
    public static Command Create()
    {
        var sysfs = CommonOptions.Sysfs();
        var state = CommonOptions.State();
        var command = new Command("restore", "Put back the interleave weights that a node agent left which was killed. The next agent does so by itself.") { sysfs, state };
        command.SetAction(parse =>
        {
            var console = parse.InvocationConfiguration.Output;
            var (directory, root) = (parse.GetRequiredValue(state), parse.GetRequiredValue(sysfs));
            try
            {
                if (!WeightRecord.Exists(directory))
                {
                    console.WriteLine($"nothing to put back: {directory} has no record of weights");
                    return 0;
                }

                using var record = WeightRecord.TryOpen(directory, "/proc")
                    ?? throw new UserInputException($"--state {directory}: a node agent is running; it puts the weights back when it is stopped");
                console.WriteLine(new WeightedInterleave(root, record).RestoreLeft() is { } weights
                    ? $"put back: {InterleaveKeeper.Format(weights)}"
                    : "nothing to put back");
                return 0;
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                throw new UserInputException($"--state {directory}: {error.Message}", error);
            }
        });
        return command;
    }
}
