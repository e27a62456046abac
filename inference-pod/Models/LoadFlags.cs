using System.CommandLine;
using Moebius.Crds;

namespace Moebius.Inference.Models;

/// <summary>The options of commands that run a model to see its routing.</summary>
internal sealed class LoadFlags
{
    private readonly Option<string?> _budget = new("--expert-budget")
    {
        Description = "Limit of the memory that holds experts: bytes or a quantity such as 4Mi. All experts when absent.",
        HelpName = "QUANTITY",
    };

    private readonly Option<int> _threads = new("--threads")
    {
        Description = "Compute threads.",
        DefaultValueFactory = _ => ModelLoadOptions.DefaultThreads,
    };

    public void AddTo(Command command)
    {
        command.Add(_budget);
        command.Add(_threads);
    }

    /// <exception cref="UserInputException">The budget is no quantity.</exception>
    public ModelLoadOptions Read(ParseResult parsed) => new()
    {
        Threads = parsed.GetValue(_threads),
        ExpertBudgetBytes = parsed.GetValue(_budget) is { } quantity ? Quantities.ParseBytes(quantity, "--expert-budget") : null,
    };
}
