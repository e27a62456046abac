using System.Globalization;
using Moebius.Inference.Kernels;
using Moebius.Inference.Models;

namespace Moebius.Bench.Inference;

/// <summary>Where the time of a step goes, part by part.</summary>
internal static class ProfileBench
{
    private const int Threads = 2;

    public static void Run()
    {
        Profile("2.5 GB model", LargeModel.Ensure(), 40);
        Profile("demonstration model", Path.Combine(RepositoryFiles.Root, "samples", "models", "austen-moe"), 400);
    }

    private static void Profile(string name, string directory, int steps)
    {
        using var own = new OwnModel(directory, new ModelLoadOptions { Threads = Threads });
        (string Name, int Steps, Action Run)[] cases =
        [
            ("decode, batch 1", steps, () => own.Decode(1, 0, steps)),
            ("decode, batch 16", steps / 4, () => own.Decode(16, 0, steps / 4)),
            ("prefill of 512", 1, () => own.Prefill(512)),
        ];
        foreach (var (_, _, run) in cases)
            run();
        Thread.Sleep(300);
        foreach (var (_, _, run) in cases)
            run();

        var profile = new StepProfile();
        own.Profile = profile;
        var columns = cases.Select(item =>
        {
            profile.Clear();
            item.Run();
            return Enum.GetValues<StepPart>().ToDictionary(part => part, part => profile.Of(part).TotalMicroseconds / item.Steps);
        }).ToList();
        Report.Title($"Where a step's time goes: {name}, {Threads} threads", ["part", .. cases.Select(item => $"{item.Name}: us (share)")]);
        foreach (var part in Enum.GetValues<StepPart>())
            Report.Row([part.ToString(), .. columns.Select(column => Text(column[part], column.Values.Sum()))]);
        Report.Row(["all", .. columns.Select(column => Text(column.Values.Sum(), column.Values.Sum()))]);
    }

    private static string Text(double microseconds, double all) =>
        string.Create(CultureInfo.InvariantCulture, $"{microseconds:F1} ({100 * microseconds / all:F1}%)");
}
