using Moebius.Crds.Schema;

namespace Moebius.Crds.V1Alpha1;

/// <summary>Tier 2: a classifier. Below one threshold text is public, above the other private, between goes to tier 3.</summary>
[CelRule("self.publicBelowPercent <= self.privateAbovePercent", "publicBelowPercent must not exceed privateAbovePercent")]
[CelRule("(self.type == 'Onnx') == has(self.onnx)", "onnx must be set for type Onnx and only then")]
public sealed class ClassifierSpec
{
    /// <summary>Which classifier.</summary>
    public ClassifierType Type { get; set; } = ClassifierType.Disabled;

    /// <summary>The model, for type Onnx: model.onnx, tokenizer.json and config.json.</summary>
    public OnnxClassifierSpec? Onnx { get; set; }

    /// <summary>Below this probability of being private, text is public.</summary>
    [Range(0, 100)]
    public int PublicBelowPercent { get; set; } = 30;

    /// <summary>Above this probability, text is private.</summary>
    [Range(0, 100)]
    public int PrivateAbovePercent { get; set; } = 70;
}

/// <summary>Classifiers.</summary>
public enum ClassifierType
{
    /// <summary>None: only what is public by declaration is shared.</summary>
    Disabled,

    /// <summary>The small model that ships with Moebius.</summary>
    BuiltIn,

    /// <summary>A token classifier in ONNX form.</summary>
    Onnx,
}

/// <summary>A model in ONNX form and the files that go with it, in a volume claim or an image.</summary>
[CelRule("has(self.claimName) != has(self.image)", "exactly one of claimName and image must be set")]
public sealed class OnnxClassifierSpec
{
    /// <summary>Volume claim of the same namespace; mounted read-only.</summary>
    [Size(1, 253)]
    [Pattern(Patterns.ObjectName)]
    public string? ClaimName { get; set; }

    /// <summary>OCI image; mounted, or copied into the pod where the server cannot mount images.</summary>
    public ImageReference? Image { get; set; }

    /// <summary>Directory inside the volume or image, relative.</summary>
    [Size(0, 1024)]
    [CelRule(RelativePath.Rule, RelativePath.InVolume)]
    public string Path { get; set; } = "";
}

/// <summary>An OCI image.</summary>
public sealed class ImageReference
{
    /// <summary>The image, with tag or digest.</summary>
    [Size(1, 512)]
    [Pattern(Patterns.Image)]
    public required string Reference { get; set; }

    /// <summary>When to pull it.</summary>
    public ImagePullPolicy PullPolicy { get; set; } = ImagePullPolicy.IfNotPresent;
}

/// <summary>Tier 3: a language model's opinion. The only place that tenant text may be sent to.</summary>
public sealed class ContextCheckSpec
{
    /// <summary>The endpoint to ask.</summary>
    public required ModelEndpoint Endpoint { get; set; }

    /// <summary>Verdicts kept.</summary>
    [Range(0, 1000000)]
    public int CacheSize { get; set; } = 10000;
}
