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
    /// <exception cref="UserInputException">It is damaged, of another version or of another model.</exception>
    public static RoutingPredictor Read(string path, RoutingShape shape)
    {
        var predictor = BinaryFile.Read(path, "routing predictor", "moebius predictor", Magic, Version, static (reader, _) => RoutingPredictor.Load(reader));
        return predictor.Shape == shape
            ? predictor
            : throw new UserInputException($"{path} is a predictor for {Text(predictor.Shape)}; this model has {Text(shape)}");
    }

    private static string Text(RoutingShape shape) => $"{shape.Layers} layers, {shape.Experts} experts, top-{shape.TopK}, {shape.Vocabulary} token ids";
}
