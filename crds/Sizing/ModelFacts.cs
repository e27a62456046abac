using System.Text.Json;

namespace Moebius.Crds.Sizing;

/// <summary>
/// What a model's files say about the memory it takes. The program that reads them reports it as one line of JSON, which
/// reaches the operator as the termination message of a container.
/// </summary>
/// <param name="DenseBytes">Weights that are always in memory.</param>
/// <param name="ExpertBytes">All routed experts; 0 for a model without any.</param>
/// <param name="SmallestExpertBytes">The experts that one token uses in one layer: no budget may be smaller.</param>
/// <param name="KVBytesPerToken">Keys and values of one token, all layers.</param>
/// <param name="StepBytesPerToken">Intermediate results of one token of a step, in the layer that has the most; 0 from a program that does not say.</param>
/// <param name="Predictor">What loading experts ahead takes; null for a model without routed experts, and from a program that does not say.</param>
public sealed record ModelFacts(long DenseBytes, long ExpertBytes, long SmallestExpertBytes, long KVBytesPerToken, long StepBytesPerToken = 0, PredictorFacts? Predictor = null)
{
    /// <summary>One line of JSON.</summary>
    public string ToLine() => JsonSerializer.Serialize(this, Manifests.Json);

    /// <summary>Reads the first line of a termination message; null when it is something else.</summary>
    public static ModelFacts? TryParse(string? message)
    {
        if (message?.Split('\n', 2)[0].Trim() is not ['{', ..] text)
            return null;
        try
        {
            return JsonSerializer.Deserialize<ModelFacts>(text, Manifests.Json) is { DenseBytes: >= 0, ExpertBytes: >= 0, SmallestExpertBytes: >= 0, KVBytesPerToken: >= 0, StepBytesPerToken: >= 0, Predictor: null or { Bytes: >= 0, BytesPerLayerAhead: >= 0, Layers: >= 0, StepBytesPerLayerAhead: >= 0 } } facts ? facts : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

/// <summary>What the routing predictor takes, which experts are loaded ahead by.</summary>
/// <param name="Bytes">Bytes before it looks ahead by a layer: what the token ids say.</param>
/// <param name="BytesPerLayerAhead">Bytes for each layer that it may look ahead.</param>
/// <param name="Layers">MoE layers: it looks no farther.</param>
/// <param name="StepBytesPerLayerAhead">Bytes of one token of a step for each layer that it looks ahead.</param>
public sealed record PredictorFacts(long Bytes, long BytesPerLayerAhead, int Layers, long StepBytesPerLayerAhead)
{
    /// <summary>Bytes when it looks so far at most.</summary>
    public long BytesFor(int layersAhead) => (long)Int128.Min(Bytes + ((Int128)BytesPerLayerAhead * Math.Min(layersAhead, Layers)), long.MaxValue);
}
