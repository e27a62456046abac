using System.Text.Json;

namespace Moebius.PromptOptimizer.Models.Comfy;

/// <summary>An image as ComfyUI names it; <c>GET view</c> takes the same three words.</summary>
internal sealed record ComfyFile(string Name, string Subfolder, string Type);

/// <summary>How a workflow ended.</summary>
/// <param name="Image">Its first image; null where it made none.</param>
/// <param name="Interrupted">Whether somebody broke it off.</param>
/// <param name="Error">What went wrong in which node, in words of ComfyUI's; null where nothing did.</param>
/// <param name="OutOfMemory">Whether the error is a lack of memory, which may pass.</param>
internal sealed record ComfyOutcome(ComfyFile? Image, bool Interrupted, string? Error, bool OutOfMemory);

/// <summary>Where a workflow is in ComfyUI's queue.</summary>
internal enum ComfyPlace
{
    Absent,
    Pending,
    Running,
}

/// <summary>Reads what ComfyUI answers. Its releases differ in what is there, so what is not needed is not asked for.</summary>
internal static class ComfyAnswers
{
    /// <summary>The words of a refused workflow: what is wrong with which input of which node.</summary>
    public static string? Words(JsonElement root)
    {
        var parts = new List<string>();
        if (root.TryGetProperty("error", out var error))
            parts.Add(error.ValueKind == JsonValueKind.Object ? Member(error, "message") : error.ToString());
        if (root.TryGetProperty("node_errors", out var nodes) && nodes.ValueKind == JsonValueKind.Object)
        {
            foreach (var node in nodes.EnumerateObject().Where(node => node.Value.ValueKind == JsonValueKind.Object))
            {
                if (node.Value.TryGetProperty("errors", out var faults) && faults.ValueKind == JsonValueKind.Array)
                    parts.AddRange(faults.EnumerateArray().Where(fault => fault.ValueKind == JsonValueKind.Object).Select(fault => $"node {Member(node.Value, "class_type")}: {Member(fault, "message")} ({Member(fault, "details")})"));
            }
        }

        return parts.Count == 0 ? null : string.Join("; ", parts);
    }

    /// <summary>Where the workflow is, by <c>GET queue</c>: items are arrays whose second value is the id.</summary>
    public static ComfyPlace Place(JsonElement root, string id)
    {
        if (Has(root.GetProperty("queue_running"), id))
            return ComfyPlace.Running;
        return Has(root.GetProperty("queue_pending"), id) ? ComfyPlace.Pending : ComfyPlace.Absent;
    }

    /// <summary>How the workflow ended, by <c>GET history/ID</c>; null while it has not.</summary>
    public static ComfyOutcome? Outcome(JsonElement root, string id)
    {
        if (!root.TryGetProperty(id, out var entry))
            return null;
        var (interrupted, error, outOfMemory) = Fault(entry);
        return new(error is null && !interrupted ? FirstImage(entry.GetProperty("outputs")) : null, interrupted, error, outOfMemory);
    }

    private static (bool Interrupted, string? Error, bool OutOfMemory) Fault(JsonElement entry)
    {
        // Releases of before 2024 have no status: a fault then shows as a missing image.
        if (!entry.TryGetProperty("status", out var status) || status.ValueKind != JsonValueKind.Object || !status.TryGetProperty("messages", out var messages) || messages.ValueKind != JsonValueKind.Array)
            return (false, null, false);
        foreach (var message in messages.EnumerateArray().Where(message => message.ValueKind == JsonValueKind.Array && message.GetArrayLength() >= 2))
        {
            var (kind, data) = (message[0].ToString(), message[1]);
            if (kind == "execution_interrupted")
                return (true, null, false);
            if (kind != "execution_error" || data.ValueKind != JsonValueKind.Object)
                continue;
            var type = Member(data, "exception_type");
            return (false, $"node {Member(data, "node_type")}: {type}: {Member(data, "exception_message")}", type.Contains("OutOfMemory", StringComparison.OrdinalIgnoreCase));
        }

        return status.TryGetProperty("status_str", out var word) && word.ToString() == "error" ? (false, "it does not say what", false) : (false, null, false);
    }

    private static ComfyFile? FirstImage(JsonElement outputs)
    {
        foreach (var node in outputs.EnumerateObject().Where(node => node.Value.ValueKind == JsonValueKind.Object))
        {
            if (node.Value.TryGetProperty("images", out var images) && images.ValueKind == JsonValueKind.Array && images.GetArrayLength() > 0)
                return new(ImageServer.Text(images[0].GetProperty("filename")), Member(images[0], "subfolder"), images[0].TryGetProperty("type", out var type) ? type.ToString() : "output");
        }

        return null;
    }

    private static bool Has(JsonElement items, string id) =>
        items.EnumerateArray().Any(item => item.ValueKind == JsonValueKind.Array && item.GetArrayLength() >= 2 && item[1].ValueKind == JsonValueKind.String && item[1].ValueEquals(id));

    private static string Member(JsonElement owner, string name) => owner.TryGetProperty(name, out var value) ? value.ToString().Trim() : "";
}
