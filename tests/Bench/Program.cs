using System.Diagnostics;
using Moebius.Bench;
using Moebius.Crds;

// Measures the KV cache. Arguments: which benchmarks to run (index, lookup, ttft); none: all.
var known = new Dictionary<string, Func<Task>>
{
    ["lookup"] = LookupBench.RunAsync,
    ["index"] = () => Task.Run(IndexBench.Run),
    ["ttft"] = TtftBench.RunAsync,
};
try
{
    if (args.FirstOrDefault(name => !known.ContainsKey(name)) is { } unknown)
        throw new UserInputException($"'{unknown}' is not a benchmark: use {string.Join(", ", known.Keys)}, or nothing for all of them");
    var begun = Stopwatch.GetTimestamp();
    Report.Machine();
    foreach (var name in args.Length > 0 ? args : [.. known.Keys])
        await known[name]();
    Report.Line("");
    Report.Line($"Took {Stopwatch.GetElapsedTime(begun).TotalSeconds:F0} s; load average at the end: {Report.Load()}.");
    return 0;
}
catch (UserInputException error)
{
    await Console.Error.WriteLineAsync(error.Message);
    return 2;
}
