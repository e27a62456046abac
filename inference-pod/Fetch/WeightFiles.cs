using Moebius.Crds;
using Moebius.Inference.Checkpoints;
using Moebius.Inference.Verify;

namespace Moebius.Inference.Fetch;

/// <summary>Which of a repository's files in safetensors are the model's weights: some repositories hold them twice.</summary>
internal static class WeightFiles
{
    /// <summary>Whether a file holds weights.</summary>
    public static bool IsWeights(string name) => name.EndsWith(".safetensors", StringComparison.Ordinal) && name != ExpectedOutputs.FileName;

    /// <summary>The files that a model in Hub layout is loaded from.</summary>
    /// <param name="files">All that there are.</param>
    /// <param name="directory">Holds the index, where there is one.</param>
    /// <param name="origin">For errors.</param>
    /// <exception cref="UserInputException">There are no weights, or not all.</exception>
    public static IReadOnlyList<RemoteFile> Needed(IReadOnlyList<RemoteFile> files, string directory, string origin)
    {
        var index = Path.Combine(directory, Checkpoint.Index);
        string[] names = File.Exists(index) ? [.. Checkpoint.ReadIndex(index).Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)] : [Checkpoint.Single];
        if (!File.Exists(index) && files.All(file => file.Name != Checkpoint.Single))
            throw new UserInputException($"{origin}: holds neither {Checkpoint.Single} nor {Checkpoint.Index}: it must be a model with weights in safetensors");
        return [.. names.Select(name => files.FirstOrDefault(file => file.Name == name) ?? throw new UserInputException($"{origin}: {Checkpoint.Index} names {name}, which is not there"))];
    }
}
