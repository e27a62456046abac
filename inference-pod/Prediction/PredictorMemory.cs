using Moebius.Crds.Sizing;

namespace Moebius.Inference.Prediction;

/// <summary>
/// What a <see cref="RoutingPredictor"/> takes once it has seen all that it can see: a model for each pair of layers within the
/// horizon, a memory of token ids for each layer, and the lessons that wait.
/// </summary>
internal static class PredictorMemory
{
    /// <summary>Bytes of the logits of all token memories, were each layer to have one for this step and one for the next.</summary>
    private const long LogitBytes = 64L << 20;

    /// <summary>What an array has beside its values, and an object beside its fields.</summary>
    private const long ArrayHead = 24, ObjectHead = 16;

    /// <summary>Queues and lists that do not grow with the model.</summary>
    private const long Fixed = 8 << 10;

    /// <summary>Rows of a token memory.</summary>
    public static int Buckets(RoutingShape shape) => (int)Math.Clamp(LogitBytes / 2 / sizeof(float) / shape.Layers / shape.Experts, 1, shape.Vocabulary);

    /// <summary>The most that a predictor takes, whether it begins with nothing or with a file.</summary>
    /// <param name="shape">What it is for.</param>
    /// <param name="horizon">Layers ahead that it is asked for, at most; 0: the token ids and last uses.</param>
    public static long Bytes(RoutingShape shape, int horizon) => Facts(shape).BytesFor(horizon);

    /// <summary>The same for every horizon.</summary>
    public static PredictorFacts Facts(RoutingShape shape)
    {
        long layers = shape.Layers, n = shape.Experts;
        var lesson = Lesson(shape);
        var each = Memory(shape) + Pair(n, n) + lesson
            + Floats(n) + Array(RoutingPredictor.MostRows * (long)shape.TopK * sizeof(int)) + (6 * ObjectHead) + (layers * sizeof(long)) + (5 * ArrayHead);
        return new PredictorFacts(
            Fixed + (layers * each) + ((RoutingPredictor.MostPostponed + 1) * lesson) + (2 * Floats(n)) + Floats(RoutingPredictor.MostRows * n),
            // From each layer one farther on, which of the last layer is one of the next step.
            (layers * (Pair(3 * n, n) + lesson)) + lesson + Memory(shape),
            shape.Layers,
            // The gate of one layer more, and its softmax.
            2 * n * sizeof(float));
    }

    private static long Memory(RoutingShape shape)
    {
        long buckets = Buckets(shape), pages = ((buckets - 1) / TokenMemory.PageRows) + 1;
        return Array(buckets * sizeof(int)) + Array(pages * sizeof(long)) + (pages * Floats(TokenMemory.PageRows * (shape.Experts + 1L)));
    }

    /// <summary>Weights, and by input and output what AdaGrad keeps.</summary>
    private static long Pair(long inputs, long outputs) =>
        Floats(inputs * outputs) + (2 * Floats(outputs)) + (2 * Floats(inputs)) + (2 * ObjectHead) + (10 * sizeof(long)) + (4 * sizeof(long));

    private static long Lesson(RoutingShape shape) =>
        Floats(RoutingPredictor.LearnedRows * 3L * shape.Experts) + Array(RoutingPredictor.LearnedRows * (long)shape.TopK * sizeof(int)) + Array(RoutingPredictor.LearnedRows * 2 * sizeof(int))
        + ObjectHead + (9 * sizeof(long));

    private static long Floats(long count) => Array(count * sizeof(float));

    private static long Array(long bytes) => ArrayHead + ((bytes + 7) / 8 * 8);
}
