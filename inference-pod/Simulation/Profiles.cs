using System.Reflection;
using Moebius.Crds;
using Moebius.Inference.Models;

namespace Moebius.Inference.Simulation;

/// <summary>A machine to simulate; the fields of a hardware file.</summary>
internal sealed class HardwareProfile
{
    /// <summary>What it is.</summary>
    public required string Title { get; set; }

    /// <summary>Bandwidth from the slow tier to the fast one, 10^9 bytes a second.</summary>
    public required double LinkGBs { get; set; }

    /// <summary>Fixed time of a transfer.</summary>
    public required double LinkMicroseconds { get; set; }

    /// <summary>Bandwidth of the fast tier, 10^9 bytes a second.</summary>
    public required double MemoryGBs { get; set; }

    /// <summary>Dense multiply and add operations, 10^12 a second.</summary>
    public required double Teraflops { get; set; }

    /// <summary>Fixed time of a layer.</summary>
    public required double LayerMicroseconds { get; set; }

    /// <summary>Fixed time of one expert.</summary>
    public required double ExpertMicroseconds { get; set; }

    /// <summary>Fast memory that the model may use, 10^9 bytes.</summary>
    public required double MemoryGB { get; set; }

    /// <summary>Part of it that is not for weights.</summary>
    public required double ReserveGB { get; set; }

    public void Check(string source)
    {
        Profiles.Named(Title, source);
        Profiles.Positive(LinkGBs, source, "linkGBs");
        Profiles.Positive(MemoryGBs, source, "memoryGBs");
        Profiles.Positive(Teraflops, source, "teraflops");
        Profiles.Positive(MemoryGB, source, "memoryGB");
        Profiles.NotNegative(LinkMicroseconds, source, "linkMicroseconds");
        Profiles.NotNegative(LayerMicroseconds, source, "layerMicroseconds");
        Profiles.NotNegative(ExpertMicroseconds, source, "expertMicroseconds");
        Profiles.NotNegative(ReserveGB, source, "reserveGB");
    }
}

/// <summary>Sizes of a model to simulate; the fields of a shape file. Weights are of 2 bytes.</summary>
internal sealed class ModelShape
{
    /// <summary>What it is.</summary>
    public required string Title { get; set; }

    /// <summary>MoE layers.</summary>
    public required int Layers { get; set; }

    /// <summary>Routed experts of a layer.</summary>
    public required int Experts { get; set; }

    /// <summary>Experts of a token in a layer.</summary>
    public required int TopK { get; set; }

    /// <summary>Bytes of one expert.</summary>
    public required long ExpertBytes { get; set; }

    /// <summary>Bytes of a layer's other weights: attention, shared experts, router.</summary>
    public required long LayerBytes { get; set; }

    /// <summary>Bytes of all other weights: embedding, head, dense layers.</summary>
    public required long OtherBytes { get; set; }

    public void Check(string source)
    {
        Profiles.Named(Title, source);
        Profiles.InRange(Layers, 1, ModelLimits.Layers, source, "layers");
        Profiles.InRange(Experts, 2, ModelLimits.Experts, source, "experts");
        Profiles.InRange(TopK, 1, Experts - 1, source, "topK");
        Profiles.Positive(ExpertBytes, source, "expertBytes");
        Profiles.NotNegative(LayerBytes, source, "layerBytes");
        Profiles.NotNegative(OtherBytes, source, "otherBytes");
    }
}

/// <summary>The profiles that come with the program, and those of files.</summary>
internal static class Profiles
{
    /// <summary>Less and more than any machine has of anything in these units; with them no time and no sum loses its sense.</summary>
    public const double Least = 1e-9, Most = 1e12;

    private static readonly string[] HardwareNames = ["a6000", "h20", "a100", "nvme"];
    private static readonly string[] Shapes = ["deepseek-v2-lite", "qwen1.5-moe"];

    /// <exception cref="UserInputException">No such profile, or a field is wrong; the message names it.</exception>
    public static HardwareProfile Hardware(string name)
    {
        var profile = Load<HardwareProfile>(name, "--hardware", HardwareNames);
        profile.Check(name);
        return profile;
    }

    /// <exception cref="UserInputException">No such shape, or a field is wrong; the message names it.</exception>
    public static ModelShape Shape(string name)
    {
        var shape = Load<ModelShape>(name, "--model-shape", Shapes);
        shape.Check(name);
        return shape;
    }

    internal static void Named(string title, string source)
    {
        if (string.IsNullOrWhiteSpace(title))
            throw new UserInputException($"{source}: title: is empty: results are shown under it");
    }

    internal static void Positive(double value, string source, string field)
    {
        if (!(value is >= Least and <= Most))
            throw new UserInputException($"{source}: {field}: {value} must be from {Least} to {Most}");
    }

    internal static void NotNegative(double value, string source, string field)
    {
        if (!(value >= 0 && value <= Most))
            throw new UserInputException($"{source}: {field}: {value} must be from 0 to {Most}");
    }

    internal static void InRange(int value, int least, int most, string source, string field)
    {
        if (value < least || value > most)
            throw new UserInputException($"{source}: {field}: {value} is out of range: from {least} to {most}");
    }

    private static T Load<T>(string name, string option, string[] known)
    {
        if (!known.Contains(name))
        {
            if (!File.Exists(name))
                throw new UserInputException($"{option}: '{name}' is neither a file nor one of {string.Join(", ", known)}");
            return Manifests.LoadFile<T>(name);
        }
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream($"simulation/{name}.yaml")!;
        return Manifests.Convert<T>(Manifests.ParseDocuments(new StreamReader(stream).ReadToEnd(), name)[0], name);
    }
}
