using System.Diagnostics;
using Moebius.Bench;
using Moebius.Bench.Cxl;
using Moebius.Bench.Inference;
using Moebius.Bench.KvCache;
using Moebius.Bench.Operator;
using Moebius.Crds;

// Arguments: a suite, then which of its benchmarks to run; none: all of them.
Suite[] suites = [CxlSuite.Suite, InferenceSuite.Suite, KvCacheSuite.Suite, OperatorSuite.Suite];
try
{
    var suite = suites.FirstOrDefault(candidate => candidate.Name == args.FirstOrDefault())
        ?? throw new UserInputException($"'{args.FirstOrDefault()}' is not a suite: name one of {string.Join(", ", suites.Select(candidate => candidate.Name))}");
    var names = suite.Benchmarks.Select(benchmark => benchmark.Name).ToList();
    if (args.Skip(1).FirstOrDefault(name => !names.Contains(name)) is { } unknown)
        throw new UserInputException($"'{unknown}' is not a benchmark of {suite.Name}: use {string.Join(", ", names)}, or nothing for all of them");
    if (suite.IsServer && !ServerRuntime.IsSet)
        return await ServerRuntime.RunAsync(args);
    var begun = Stopwatch.GetTimestamp();
    Report.Machine();
    if (suite.IsServer)
        Report.Line(ServerRuntime.Line);
    foreach (var benchmark in suite.Benchmarks.Where(benchmark => args.Length == 1 || args.Skip(1).Contains(benchmark.Name)))
        await benchmark.RunAsync();
    Report.Line("");
    Report.Line($"Took {Stopwatch.GetElapsedTime(begun).TotalSeconds:F0} s; load average at the end: {Report.Load()}.");
    return 0;
}
catch (UserInputException error)
{
    await Console.Error.WriteLineAsync(error.Message);
    return 2;
}
