using System.Globalization;
using k8s.Models;

namespace Moebius.Operator.Planning;

/// <summary>A container that does not run.</summary>
/// <param name="Pod">The pod.</param>
/// <param name="Container">The container.</param>
/// <param name="ExitCode">Its exit code; null when it never started.</param>
/// <param name="Message">Its last words, or why it does not start.</param>
internal sealed record ContainerFailure(string Pod, string Container, int? ExitCode, string Message)
{
    /// <summary>Exit code of every Moebius program for input that a person has to correct.</summary>
    public const int BadInput = 2;

    private const int MaxMessage = 512;

    private static readonly HashSet<string> WaitingReasons =
        ["ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"];

    /// <summary>The containers of these pods that do not run because of an error, in a stable order.</summary>
    public static IReadOnlyList<ContainerFailure> In(IEnumerable<V1Pod> pods) =>
        [.. pods.Where(pod => pod.Metadata.DeletionTimestamp is null)
            .OrderBy(pod => pod.Metadata.Name, StringComparer.Ordinal)
            .SelectMany(pod => (pod.Status?.InitContainerStatuses ?? []).Concat(pod.Status?.ContainerStatuses ?? [])
                .Select(status => Of(pod.Metadata.Name, status))
                .OfType<ContainerFailure>())];

    public override string ToString() => ExitCode is { } code
        ? $"container '{Container}' ended with code {code}: {Message}"
        : $"container '{Container}' does not start: {Message}";

    private static ContainerFailure? Of(string pod, V1ContainerStatus status)
    {
        if (status.Ready)
            return null;
        // A container that is starting again still has the reason why it ended the last time.
        var ended = status.State?.Terminated ?? status.LastState?.Terminated;
        if (ended is { ExitCode: not 0 })
            return new ContainerFailure(pod, status.Name, ended.ExitCode, Killed(ended) ?? LastLine(ended.Message) ?? ended.Reason ?? "no message");
        return status.State?.Waiting is { } waiting && WaitingReasons.Contains(waiting.Reason ?? "")
            ? new ContainerFailure(pod, status.Name, null, $"{waiting.Reason}: {LastLine(waiting.Message)}")
            : null;
    }

    /// <summary>What a killed program said last is not why it ended.</summary>
    private static string? Killed(V1ContainerStateTerminated ended) => ended switch
    {
        { Reason: "OOMKilled" } => "killed because it needs more memory than its limit",
        { ExitCode: > 128 and < 192 } => string.Create(CultureInfo.InvariantCulture, $"killed by signal {ended.ExitCode - 128}"),
        _ => null,
    };

    private static string? LastLine(string? text)
    {
        var line = text?.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).LastOrDefault();
        return line?.Length > MaxMessage ? line[..MaxMessage] : line;
    }
}
