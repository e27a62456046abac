using Moebius.Crds;

namespace Moebius.Inference.Prediction;

/// <summary>What a predictor has learned, on disk: one file for each model, <c>MOEBPRD1</c> in a <see cref="BinaryFile"/>.</summary>
internal static class PredictorFile
{
    private const int Version = 4;

    /// <summary>Name of the file beside a model that its server begins with.</summary>
    public const string DefaultName = "predictor.moebius";

    private static ReadOnlySpan<byte> Magic => "MOEBPRD1"u8;

    /// <exception cref="UserInputException">The file cannot be written.</exception>
    public static void Write(string path, RoutingPredictor predictor) => BinaryFile.Write(path, Magic, Version, predictor.Save);

    /// <summary>Reads what was learned for a model of this shape.</summary>
    /// <param name="path">The file.</param>
    /// <param name="shape">The model's.</param>
    /// <param name="horizon">Layers ahead that will be asked for; what was learned of those farther on is left in the file.</param>
    /// <exception cref="UserInputException">It is damaged, of another version or of another model.</exception>
    public static RoutingPredictor Read(string path, RoutingShape shape, int horizon = int.MaxValue) =>
        BinaryFile.Read(path, "routing predictor", "moebius predictor", Magic, Version, (reader, _) => RoutingPredictor.LoadShape(reader) is var found && found == shape
            ? RoutingPredictor.Load(reader, shape, horizon)
            // Before any memory is taken for what the file says.
            : throw new UserInputException($"{path} is a predictor for {Text(found)}; this model has {Text(shape)}"));

    private static string Text(RoutingShape shape) => $"{shape.Layers} layers, {shape.Experts} experts, top-{shape.TopK}, {shape.Vocabulary} token ids";
}
