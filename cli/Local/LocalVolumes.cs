using Moebius.Crds;

namespace Moebius.Cli.Local;

/// <summary>Makes the directories of a pod's volumes.</summary>
internal static class LocalVolumes
{
    public static void Prepare(LocalPod pod)
    {
        foreach (var volume in pod.Volumes)
        {
            if (!volume.Owned)
            {
                if (!Directory.Exists(volume.Directory) && !File.Exists(volume.Directory))
                    throw new UserInputException($"{pod.Name}: volume '{volume.Name}': {volume.Directory} does not exist: create it, or name another directory with --host-path PATH=DIRECTORY, as --host-path /var/lib/moebius/models=samples/models for the quickstart");
                continue;
            }

            Directory.CreateDirectory(volume.Directory);
            foreach (var (name, bytes) in volume.Files)
            {
                var file = Path.Combine(volume.Directory, name);
                Directory.CreateDirectory(Path.GetDirectoryName(file)!);
                File.WriteAllBytes(file, bytes);
            }
        }
    }
}
