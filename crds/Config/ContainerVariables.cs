namespace Moebius.Crds.Config;

/// <summary>Environment variables that the operator sets and the containers read: secrets, and what only the node knows.</summary>
public static class ContainerVariables
{
    /// <summary>The key that the gateway signs tenants with; the engine refuses a policy with signatures without it.</summary>
    public const string TenantSignatureKey = "MOEBIUS_TENANT_SIGNATURE_KEY";

    /// <summary>The password of the tier between pods.</summary>
    public const string SharedPassword = "MOEBIUS_KV_SHARED_PASSWORD";

    /// <summary>The bearer token of a policy's <c>contextCheck.endpoint.apiKeySecretRef</c>.</summary>
    public const string ContextCheckKey = "MOEBIUS_CONTEXT_CHECK_KEY";

    /// <summary>The memory limit of the inference container in bytes, for the check of a model's size.</summary>
    public const string MemoryLimit = "MOEBIUS_MEMORY_LIMIT";

    /// <summary>Id of the key to a bucket.</summary>
    public const string AwsKeyId = "AWS_ACCESS_KEY_ID";

    /// <summary>The key to a bucket.</summary>
    public const string AwsSecret = "AWS_SECRET_ACCESS_KEY";

    /// <summary>Token for a Hugging Face hub.</summary>
    public const string HubToken = "HF_TOKEN";

    /// <summary>Bearer token of a prompt optimizer's language model.</summary>
    public const string LanguageModelKey = "MOEBIUS_LLM_API_KEY";

    /// <summary>Bearer token of a prompt optimizer's scorer.</summary>
    public const string ScorerKey = "MOEBIUS_SCORER_API_KEY";

    /// <summary>Bearer token of a prompt optimizer's image model.</summary>
    public const string ImageModelKey = "MOEBIUS_IMAGE_API_KEY";

    /// <summary>How a prompt optimizer reaches its PostgreSQL database.</summary>
    public const string StoreConnection = "MOEBIUS_STORE_CONNECTION";

    /// <summary>Certificates in PEM of the authority behind that database's own.</summary>
    public const string StoreAuthority = "MOEBIUS_STORE_CA";

    /// <summary>The node that a pod runs on.</summary>
    public const string NodeName = "NODE_NAME";
}

/// <summary>Annotations that the operator and the containers both read.</summary>
public static class PodAnnotations
{
    /// <summary>Of a pod, which its user may set: how it uses memory, for the node agent.</summary>
    public const string MemoryIntent = "moebius.dev/memory-intent";
}
