using k8s.Models;
using Moebius.Crds.Schema;

namespace Moebius.Crds.V1Alpha1;

/// <summary>How the Job that downloads a model runs, and how it reaches the source.</summary>
public sealed class ModelDownload
{
    /// <summary>
    /// Requests and limits of its container. Absent: 100m and 128Mi, at most 2 processors and 4Gi. It streams, and packs one
    /// expert at a time: more is needed for experts of over 1 GiB each.
    /// </summary>
    public V1ResourceRequirements? Resources { get; set; }

    /// <summary>The proxy that leads to the source. Absent: none.</summary>
    public ProxySpec? Proxy { get; set; }

    /// <summary>
    /// Certificates in PEM of authorities that the source or the proxy is signed by, beside those of the image. It is read
    /// when the download starts.
    /// </summary>
    public ConfigMapKeyReference? CaConfigMapRef { get; set; }
}

/// <summary>A proxy for HTTP and HTTPS.</summary>
public sealed class ProxySpec
{
    /// <summary>Its URL, without user or password.</summary>
    [Size(1, 2048)]
    [Pattern("^https?://([^\\s/?#@:\\[\\]]+|\\[[0-9a-fA-F:.]+\\])(:[0-9]{1,5})?/?$")]
    public required string Url { get; set; }

    /// <summary>Hosts that are reached without it: names, names with a dot before them for all that end so, and addresses.</summary>
    [Size(1, 64)]
    [ItemSize(1, 253)]
    [Pattern("^[.]?[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$")]
    [ListSet]
    public List<string>? NoProxy { get; set; }
}
