using Spectre.Console;

namespace Moebius.Cli.Local;

/// <summary>Shows how far every container is: bars on a terminal, a line per change elsewhere.</summary>
internal sealed class StartProgress(LocalPlan plan)
{
    private readonly Dictionary<string, ContainerState> _shown = [];

    public async Task RunAsync(Func<Action<LocalStatus>, Task> wait)
    {
        if (!AnsiConsole.Profile.Capabilities.Interactive)
        {
            await wait(Lines).ConfigureAwait(false);
            return;
        }

        await AnsiConsole.Progress()
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new ElapsedTimeColumn(), new SpinnerColumn())
            .StartAsync(async context =>
            {
                var bars = plan.Pods
                    .SelectMany(pod => pod.Containers.Select(container => $"{pod.Name}/{container.Name}"))
                    .ToDictionary(name => name, name => context.AddTask(name, maxValue: 2));
                await wait(status =>
                {
                    foreach (var container in status.Containers)
                    {
                        bars[$"{container.Pod}/{container.Name}"].Value = container.State switch
                        {
                            ContainerState.Ready or ContainerState.Completed => 2,
                            ContainerState.Starting => 1,
                            _ => 0,
                        };
                    }
                }).ConfigureAwait(false);
            }).ConfigureAwait(false);
    }

    private void Lines(LocalStatus status)
    {
        foreach (var container in status.Containers)
        {
            var name = $"{container.Pod}/{container.Name}";
            if (_shown.TryGetValue(name, out var before) && before == container.State)
                continue;
            _shown[name] = container.State;
            Console.WriteLine($"  {name}: {container.State}{(container.Message is { } message ? $" ({message})" : "")}");
        }
    }
}
