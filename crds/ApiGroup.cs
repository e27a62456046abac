namespace Moebius.Crds;

/// <summary>The API group of every Moebius resource.</summary>
public static class ApiGroup
{
    /// <summary>Group name.</summary>
    public const string Name = "moebius.dev";

    /// <summary>The one version served and stored.</summary>
    public const string Version = "v1alpha1";

    /// <summary>Both, as in a resource's <c>apiVersion</c>.</summary>
    public const string ApiVersion = Name + "/" + Version;
}
