using System.Text.Json;
using Moebius.Crds;

namespace Moebius.Cli.Local;

/// <summary>Where one local instance keeps its volumes, logs and state. Removed as a whole when it stops.</summary>
internal sealed class StateDirectory
{
    private StateDirectory(string path, string memoryPath)
    {
        Root = path;
        Memory = memoryPath;
    }

    public string Root { get; }

    /// <summary>Volumes of medium Memory.</summary>
    public string Memory { get; }

    public string PlanFile => Path.Combine(Root, "plan.json");

    public string StatusFile => Path.Combine(Root, "status.json");

    /// <summary>Who starts the instance: its supervisor has not said yet that it runs.</summary>
    public string StarterFile => Path.Combine(Root, "starter.json");

    public string Logs => Path.Combine(Root, "logs");

    public static StateDirectory Of(string instance)
    {
        if (instance.Length is 0 or > 40 || !instance.All(letter => char.IsAsciiLetterOrDigit(letter) || letter == '-'))
            throw new UserInputException($"--name: '{instance}': use 1 to 40 letters, digits and dashes");
        var user = Environment.UserName;
        var runtime = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { Length: > 0 } directory && Directory.Exists(directory) ? directory : Path.GetTempPath();
        var name = $"moebius-{user}-{instance}";
        var memory = Directory.Exists("/dev/shm") ? "/dev/shm" : runtime;
        var state = new StateDirectory(Path.Combine(runtime, name), Path.Combine(memory, name + "-memory"));
        // Both may lie where everybody can make files under names that are easy to guess, and what is read from there says
        // which processes to start and to stop.
        if (new[] { state.Root, state.Memory }.FirstOrDefault(path => Path.Exists(path) && !Native.IsOwnDirectory(path)) is { } foreign)
            throw new UserInputException($"{foreign}: is there and is no directory of yours: have it removed, or choose another --name");
        return state;
    }

    public bool Exists => Directory.Exists(Root);

    public void Create()
    {
        foreach (var directory in new[] { Root, Memory })
            Native.MakeDirectory(directory);
        Directory.CreateDirectory(Logs);
    }

    public void Remove()
    {
        foreach (var directory in new[] { Memory, Root })
        {
            if (Directory.Exists(directory))
                Directory.Delete(directory, recursive: true);
        }
    }

    public void Write<T>(string file, T value)
    {
        // Readers must never see half a file.
        var temporary = file + ".new";
        File.WriteAllText(temporary, JsonSerializer.Serialize(value, Manifests.Json));
        File.Move(temporary, file, overwrite: true);
    }

    /// <exception cref="UserInputException">The file is damaged, or another version wrote it.</exception>
    public static T? Read<T>(string file)
        where T : class
    {
        try
        {
            return JsonSerializer.Deserialize<T>(File.ReadAllText(file), Manifests.Json);
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (JsonException error)
        {
            throw new UserInputException($"{file}: is damaged, or written by another version: end the 'moebius local supervise' that uses {Path.GetDirectoryName(file)}, then remove that folder", error);
        }
    }
}

/// <summary>What the supervisor says about its processes.</summary>
internal sealed record LocalStatus(ProcessIdentity Supervisor, string? Failure, int ExitCode, IReadOnlyList<ContainerStatus> Containers)
{
    public bool Ready => Failure is null && Containers.Count > 0 && Containers.All(container => container.State is ContainerState.Ready or ContainerState.Completed);
}

internal enum ContainerState
{
    Waiting,
    Starting,
    Ready,
    Completed,
    Failed,
    Stopped,
}

internal sealed record ContainerStatus(string Pod, string Name, ContainerState State, int? Pid, int Restarts, string? Message, IReadOnlyDictionary<string, int> Ports);
