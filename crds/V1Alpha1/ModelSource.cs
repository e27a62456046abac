using k8s.Models;
using Moebius.Crds.Schema;

namespace Moebius.Crds.V1Alpha1;

/// <summary>The model and where it comes from.</summary>
public sealed class ModelSpec
{
    /// <summary>The name clients ask for. Absent: the resource's name.</summary>
    [Size(1, 128)]
    [Pattern("^[A-Za-z0-9]([-A-Za-z0-9._/]*[A-Za-z0-9])?$")]
    public string? Name { get; set; }

    /// <summary>Where the model directory (config.json, safetensors, tokenizer.json) is.</summary>
    public required ModelSource Source { get; set; }
}

/// <summary>Where a model directory comes from: exactly one of the fields.</summary>
[CelRule("[has(self.hostPath), has(self.persistentVolumeClaim), has(self.image), has(self.s3), has(self.http), has(self.huggingFace)].filter(x, x).size() == 1",
    "exactly one of hostPath, persistentVolumeClaim, image, s3, http, huggingFace must be set")]
[CelRule("has(self.store) == (has(self.s3) || has(self.http) || has(self.huggingFace))",
    "store must be set for s3, http and huggingFace and only then: it is where the download is kept")]
public sealed class ModelSource
{
    /// <summary>A directory on the node.</summary>
    public HostPathModel? HostPath { get; set; }

    /// <summary>A directory in a volume claim.</summary>
    public ClaimModel? PersistentVolumeClaim { get; set; }

    /// <summary>A directory in an OCI image, mounted as an image volume.</summary>
    public ImageModel? Image { get; set; }

    /// <summary>A prefix in an S3 bucket.</summary>
    public S3Model? S3 { get; set; }

    /// <summary>An archive behind a URL.</summary>
    public HttpModel? Http { get; set; }

    /// <summary>A repository of the Hugging Face Hub.</summary>
    public HuggingFaceModel? HuggingFace { get; set; }

    /// <summary>Where a downloaded model is kept, shared by all pods (s3, http, huggingFace).</summary>
    public ModelStore? Store { get; set; }
}

/// <summary>A directory on the node.</summary>
public sealed class HostPathModel
{
    /// <summary>Absolute path.</summary>
    [Size(1, 4096)]
    [Pattern("^/.*$")]
    [CelRule("!self.matches('(^|/)[.][.](/|$)')", "must not climb with '..'")]
    public required string Path { get; set; }
}

/// <summary>A directory in a volume claim.</summary>
public sealed class ClaimModel
{
    /// <summary>The claim's name.</summary>
    [Size(1, 253)]
    [Pattern(Patterns.ObjectName)]
    public required string ClaimName { get; set; }

    /// <summary>Path inside the volume, relative.</summary>
    [Size(0, 1024)]
    [CelRule(RelativePath.Rule, RelativePath.InVolume)]
    public string Path { get; set; } = "";
}

/// <summary>A directory in an OCI image.</summary>
public sealed class ImageModel
{
    /// <summary>The image, with tag or digest.</summary>
    [Size(1, 512)]
    [Pattern(Patterns.Image)]
    public required string Reference { get; set; }

    /// <summary>When to pull it.</summary>
    public ImagePullPolicy PullPolicy { get; set; } = ImagePullPolicy.IfNotPresent;

    /// <summary>Path inside the image, relative.</summary>
    [Size(0, 1024)]
    [CelRule(RelativePath.Rule, RelativePath.InImage)]
    public string Path { get; set; } = "";
}

/// <summary>A prefix in an S3 bucket.</summary>
public sealed class S3Model
{
    /// <summary>Bucket and prefix.</summary>
    [Size(6, 1024)]
    [Pattern("^s3://[^/@]+(/.*)?$")]
    public required string Uri { get; set; }

    /// <summary>Endpoint of a store that is not AWS, without user or password.</summary>
    [Pattern(Patterns.StoreUrl)]
    [Size(1, 2048)]
    public string? Endpoint { get; set; }

    /// <summary>Region.</summary>
    [Size(1, 64)]
    public string? Region { get; set; }

    /// <summary>Secret with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Absent: requests are not signed.</summary>
    public LocalReference? CredentialsSecretRef { get; set; }
}

/// <summary>An archive (tar, tar.gz, zip) behind a URL.</summary>
public sealed class HttpModel
{
    /// <summary>The archive's URL, without user or password; it may be signed.</summary>
    [Size(1, 2048)]
    [Pattern(Patterns.StoreUrl)]
    public required string Url { get; set; }

    /// <summary>SHA-256 of the archive, in hexadecimal.</summary>
    [Size(64, 64)]
    [Pattern("^[0-9a-f]{64}$")]
    public required string Sha256 { get; set; }
}

/// <summary>A repository of the Hugging Face Hub.</summary>
public sealed class HuggingFaceModel
{
    /// <summary>Owner and name.</summary>
    [Size(3, 256)]
    [Pattern("^[A-Za-z0-9][-A-Za-z0-9._]*/[A-Za-z0-9][-A-Za-z0-9._]*$")]
    public required string Repository { get; set; }

    /// <summary>Commit, tag or branch.</summary>
    [Size(1, 256)]
    public string Revision { get; set; } = "main";

    /// <summary>Access token.</summary>
    public SecretKeyReference? TokenSecretRef { get; set; }

    /// <summary>Base URL of the Hub or of a mirror with the same API, without user or password.</summary>
    [Size(1, 2048)]
    [Pattern(Patterns.StoreUrl)]
    public string Endpoint { get; set; } = "https://huggingface.co";
}

/// <summary>A volume claim that the operator makes for a downloaded model.</summary>
public sealed class ModelStore
{
    /// <summary>
    /// Size of the claim. Experts are packed beside the weights, so a model takes about twice its size; a changed source is
    /// downloaded beside the one in use.
    /// </summary>
    public required ResourceQuantity Size { get; set; }

    /// <summary>Who may mount the claim: pods of one node, or of several.</summary>
    public StoreAccess AccessMode { get; set; } = StoreAccess.ReadWriteOnce;

    /// <summary>Storage class. Absent: the cluster's default.</summary>
    [Size(1, 253)]
    [Pattern(Patterns.ObjectName)]
    public string? StorageClassName { get; set; }

    /// <summary>How the download runs and reaches its source.</summary>
    public ModelDownload? Download { get; set; }
}

/// <summary>Who may mount a claim at once.</summary>
public enum StoreAccess
{
    /// <summary>Pods of one node.</summary>
    ReadWriteOnce,

    /// <summary>Pods of any number of nodes; the storage class has to offer it.</summary>
    ReadWriteMany,
}
