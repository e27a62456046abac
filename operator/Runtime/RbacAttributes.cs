namespace Moebius.Operator.Runtime;

/// <summary>Verbs of a rule.</summary>
[Flags]
public enum RbacVerbs
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Read one.</summary>
    Get = 1,

    /// <summary>Read all.</summary>
    List = 2,

    /// <summary>Follow changes.</summary>
    Watch = 4,

    /// <summary>Make one.</summary>
    Create = 8,

    /// <summary>Replace one.</summary>
    Update = 16,

    /// <summary>Change or apply one.</summary>
    Patch = 32,

    /// <summary>Remove one.</summary>
    Delete = 64,

    /// <summary>Get, list and watch.</summary>
    Read = Get | List | Watch,

    /// <summary>Read, and create and change by server-side apply, and delete.</summary>
    Own = Read | Create | Patch | Delete,
}

/// <summary>Rights that a controller needs on resources. The same shape as in KubeOps.</summary>
[AttributeUsage(AttributeTargets.Class, AllowMultiple = true)]
public sealed class EntityRbacAttribute(params Type[] entities) : Attribute
{
    /// <summary>The resources' types.</summary>
    public IReadOnlyList<Type> Entities { get; } = entities;

    /// <summary>What may be done.</summary>
    public RbacVerbs Verbs { get; init; }

    /// <summary>A subresource, such as <c>status</c>.</summary>
    public string? Subresource { get; init; }

    /// <summary>Only objects of these names; empty for all.</summary>
    public string[] ResourceNames { get; init; } = [];

    /// <summary>Needed by the validating webhook only, and granted together with it.</summary>
    public bool ForWebhook { get; init; }

    /// <summary>Only in the operator's own namespace.</summary>
    public bool OperatorNamespaceOnly { get; init; }
}
